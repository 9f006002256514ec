"""Against transformers: its CLIPImageProcessor (the variant for Pillow) and its tokenizer of the same kind."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw
from transformers import XLMRobertaTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmsearch_django.embedders.jina_clip.preparation import MAX_TOKENS, Tokens, pixels
from tests.toy_jina_clip import CORPUS, tokenizer

PUBLISHED = {
    "size": {"shortest_edge": 512},
    "crop_size": {"height": 512, "width": 512},
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
}
SIZES = [
    *[(1, 1), (1, 16), (16, 1), (2, 1), (3, 7), (13, 200), (100, 33), (511, 512), (512, 511), (513, 512)],
    *[(512, 512), (512, 600), (1024, 65), (64, 1024), (1024, 683), (683, 1024), (1024, 1024), (777, 513), (999, 1000)],
]
MODES = ["L", "1", "P", "RGBA", "CMYK"]

TEXTS = [
    *CORPUS,
    *["", " ", "  two   spaces ", "tab\tand\nline", "ALL CAPITALS", "emoji 😀😀", "👩\u200d👩\u200d👧", "ﬁne ligature"],
    *[
        "café",
        "cafe\u0301",
        "<s>",
        "</s>",
        "<pad>",
        "<mask>",
        "a<mask>b",
        "<unk>",
        "▁under",
        "a_b",
        "3.14",
        "1,000,000",
    ],
    *[
        "100%",
        "C++",
        "#tag",
        "red-car",
        "don't",
        "“quotes”",
        "中文混合 English",
        "日本語",
        "한국어",
        "العربية",
        "עברית",
    ],
    *[
        "हिन्दी",
        "ไทย",
        "Ελληνικά",
        "x" * 600,
        "red car " * 400,
        "fish\u200bbowl",
        "\u00a0nbsp\u00a0",
        "…",
        "a\0b",
        "½",
        "ß",
    ],
]


@pytest.fixture(scope="module")
def processor():
    return CLIPImageProcessorPil(**PUBLISHED)


@pytest.fixture(scope="module")
def ours_and_theirs(tmp_path_factory):
    """A tokenizer of XLM-RoBERTa's class with a small vocabulary, saved, and the same file read by us."""
    pieces = json.loads(tokenizer().to_str())["model"]["vocab"]
    vocabulary = [(piece, score) for piece, score in pieces if piece != "<mask>"]
    theirs = XLMRobertaTokenizer(vocab=[*vocabulary, ("<mask>", 0.0)], model_max_length=8192)
    folder = tmp_path_factory.mktemp("tokenizer")
    theirs.save_pretrained(folder)
    return Tokens(folder / "tokenizer.json"), theirs


def noise(width, height):
    values = np.random.default_rng(width * 1031 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def drawing(mode):
    picture = Image.new("RGB", (300, 170), "white")
    ImageDraw.Draw(picture).ellipse([40, 10, 260, 150], fill="red", outline="blue", width=9)
    return picture.convert(mode)


class TestPixels:
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_as_the_reference_at_any_size(self, processor, size):
        assert np.abs(pixels(noise(*size)) - self.reference(processor, noise(*size))).max() < 1e-5

    @pytest.mark.parametrize("mode", MODES)
    def test_as_the_reference_in_any_mode(self, processor, mode):
        assert np.abs(pixels(drawing(mode)) - self.reference(processor, drawing(mode))).max() < 1e-5

    def reference(self, processor, picture):
        return processor(picture, return_tensors="np")["pixel_values"][0]

    def test_shape_and_kind(self):
        values = pixels(noise(30, 20))
        assert values.shape == (3, 512, 512)
        assert values.dtype == np.float32
        assert values.flags.c_contiguous

    @pytest.mark.parametrize("size", [(1, 1024), (1024, 1), (2, 1000)], ids=str)
    def test_a_line_costs_no_more_than_a_picture(self, processor, monkeypatch, size):
        sizes = []
        resize = Image.Image.resize
        monkeypatch.setattr(
            Image.Image, "resize", lambda self, size, *options: sizes.append(size) or resize(self, size, *options)
        )
        grey = Image.linear_gradient("L").resize(size).convert("RGB")
        sizes.clear()
        assert pixels(grey).shape == (3, 512, 512)
        [(width, height)] = sizes
        assert width * height <= 16 * 512 * 512


class TestTokens:
    def test_fifty_texts_or_more(self):
        assert len(set(TEXTS)) >= 50

    @pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:30])
    def test_ids_as_the_reference(self, ours_and_theirs, text):
        ours, theirs = ours_and_theirs
        assert ours(text) == theirs(text, truncation=True, max_length=MAX_TOKENS)["input_ids"]

    def test_batches_as_the_reference(self, ours_and_theirs):
        ours, theirs = ours_and_theirs
        padded = theirs(TEXTS, truncation=True, max_length=MAX_TOKENS, padding=True)["input_ids"]
        assert ours.padded([ours(text) for text in TEXTS]).tolist() == padded

    def test_the_vocabulary_tells_texts_apart(self, ours_and_theirs):
        ours, _theirs = ours_and_theirs
        assert len(ours("a red car by the sea")) > 6
        assert len({tuple(ours(text)) for text in CORPUS}) == len(CORPUS)

    def test_no_more_than_the_model_was_asked_for(self, ours_and_theirs):
        ours, _theirs = ours_and_theirs
        assert len(ours("red car " * 400)) == MAX_TOKENS == 512

    @pytest.mark.parametrize("text", ["\ud800 half", "x" * 1_000_000])
    def test_no_text_breaks_it(self, ours_and_theirs, text):
        ours, _theirs = ours_and_theirs
        ids = ours(text)
        assert ids[0] == 0
        assert ids[-1] == 2
