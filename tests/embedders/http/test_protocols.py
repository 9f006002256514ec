import base64

import numpy as np
import pytest
from PIL import Image

from mmsearch_django.embedders.http.protocols import PROTOCOLS, vectors
from mmsearch_django.exceptions import EmbedderError, EmbedderMisconfigured
from tests.embedding_server import DIMENSIONS

TEXTS = ["a red car", "ein rötlicher Wagen", "https://example.org/a.png", "data:image/png;base64,AAAA", " ", "x" * 9999]
PICTURES = [Image.new("RGB", size, color) for size, color in [((30, 20), "red"), ((20, 30), "blue"), ((1, 1), "lime")]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_texts_and_pictures_arrive_as_they_are(server, embedder, protocol):
    made = embedder(protocol=protocol)
    direct = server.engine.texts(TEXTS, query=False)
    assert np.allclose(made.embed_texts(TEXTS), unit(direct), atol=1e-6)
    if "image" in made.modalities:
        assert np.allclose(made.embed_images(PICTURES), unit(server.engine.images(PICTURES)), atol=1e-6)
    assert all(body["model"] == "toy" for _, body in server.requests)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class TestRequests:
    def asked(self, server, made):
        made.embed_texts(["red"], query=True)
        made.embed_images(PICTURES[:2])
        return [body for _, body in server.requests]

    def test_infinity(self, server, embedder):
        text, image = self.asked(server, embedder())
        assert text == {"model": "toy", "input": ["red"], "encoding_format": "float", "modality": "text"}
        assert image["modality"] == "image"
        assert [each[:22] for each in image["input"]] == ["data:image/png;base64,"] * 2

    def test_vllm(self, server, embedder):
        text, *images = self.asked(server, embedder(protocol="vllm", image_format="jpeg"))
        assert text == {"model": "toy", "input": ["red"], "encoding_format": "float"}
        assert len(images) == 2
        [part] = images[0]["messages"][0]["content"]
        assert part["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
        assert "input" not in images[0]

    def test_jina(self, server, embedder):
        text, image = self.asked(server, embedder(protocol="jina", matryoshka=True))
        common = {"model": "toy", "dimensions": DIMENSIONS, "embedding_type": "float"}
        assert text == {**common, "input": [{"text": "red"}], "task": "retrieval.query"}
        assert [list(each) for each in image["input"]] == [["image"]] * 2
        assert base64.b64decode(image["input"][0]["image"]).startswith(b"\x89PNG")

    def test_prompts(self, server, embedder):
        made = embedder(protocol="openai", query_prompt="query: ", document_prompt="passage: ")
        made.embed_texts(["red"], query=True)
        made.embed_texts(["red"])
        assert [body["input"] for _, body in server.requests] == [["query: red"], ["passage: red"]]


def row(index, *numbers):
    return {"index": index, "embedding": list(numbers)}


class TestAnswers:
    def test_the_index_says_whose_it_is(self):
        answer = {"data": [row(2, 3, 3), row(0, 1, 1), row(1, 2, 2)]}
        assert vectors(answer, 3, 2).tolist() == [[1, 1], [2, 2], [3, 3]]

    def test_without_any_the_order_is_that_of_the_inputs(self):
        assert vectors({"data": [{"embedding": [1, 2]}, {"embedding": [3, 4]}]}, 2, 2).tolist() == [[1, 2], [3, 4]]

    def test_base64(self):
        packed = base64.b64encode(np.array([0.5, -2], dtype="<f4").tobytes()).decode()
        assert vectors({"data": [{"index": 0, "embedding": packed}]}, 1, 2).tolist() == [[0.5, -2]]

    def test_longer_ones_are_cut_if_that_is_asked_for(self):
        assert vectors({"data": [row(0, 1, 2, 3)]}, 1, 2, cut=True).tolist() == [[1, 2]]

    @pytest.mark.parametrize("numbers", [(1, 2, 3), (1,), ()])
    def test_another_length_is_an_error_of_the_settings(self, numbers):
        with pytest.raises(EmbedderMisconfigured, match=f"have {len(numbers)} dimensions, not 2"):
            vectors({"data": [row(0, *numbers)]}, 1, 2)

    @pytest.mark.parametrize(
        "data",
        [
            [row(0, 1, 2)],
            [row(0, 1, 2)] * 2,
            [row(0, 1, 2), row(1, 1, 2), row(2, 1, 2)],
            [row(0, 1, 2), row(2, 1, 2)],
            [row(0, 1, 2), row(-1, 1, 2)],
            [row(0, 1, 2), row("1", 1, 2)],
            [row(0, 1, 2), row(True, 1, 2)],
            [row(0, 1, 2), row(None, 1, 2)],
            [],
        ],
    )
    def test_half_an_answer(self, data):
        with pytest.raises(EmbedderError, match=f"to 2 inputs has {len(data)} vectors"):
            vectors({"data": data}, 2, 2)

    @pytest.mark.parametrize("answer", [None, [], "x", 1, {}, {"data": None}, {"data": {}}, {"data": [1]}])
    def test_another_form(self, answer):
        with pytest.raises(EmbedderError, match="no list 'data'"):
            vectors(answer, 1, 2)

    @pytest.mark.parametrize("value", [None, 1, "!", "AAA=", "AAAAAAA=", [[1, 2]], ["a", "b"], {"a": 1}, [{}, {}]])
    def test_what_is_no_vector(self, value):
        with pytest.raises(EmbedderError, match="no list of numbers"):
            vectors({"data": [{"index": 0, "embedding": value}]}, 1, 2)

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300, None])
    def test_what_is_no_finite_number_never_serves(self, server, embedder, number):
        server.alter = lambda rows: [{**each, "embedding": [number, *each["embedding"][1:]]} for each in rows]
        with pytest.raises(EmbedderError, match="not finite|no list of numbers"):
            embedder().embed_texts(["red"])
