import numpy as np
import pytest
from PIL import Image

from mmsearch_django.embedders import trial
from mmsearch_django.embedders.trial import Understanding
from mmsearch_django.exceptions import CorruptFile, JudgementError, SelfTestFailed

FIRST, SECOND, THIRD = np.eye(3, dtype=np.float32)


class TestUnderstanding:
    def test_captions_that_know_their_pictures(self):
        found = trial.understanding(np.stack([FIRST, SECOND, THIRD]), np.stack([FIRST, SECOND, THIRD]))
        assert found == Understanding(own=1, others=0, first=1, won=1)
        trial.require_understanding(found)

    def test_captions_that_know_others(self):
        found = trial.understanding(np.stack([FIRST, SECOND, THIRD]), np.stack([SECOND, THIRD, FIRST]))
        assert (found.own, found.first) == (0, 0)
        assert found.others == pytest.approx(1 / 2)
        with pytest.raises(SelfTestFailed, match="in 0% of all cases"):
            trial.require_understanding(found)

    def test_all_alike_is_no_understanding(self):
        found = trial.understanding(np.stack([FIRST] * 3), np.stack([FIRST] * 3))
        assert (found.first, found.won) == (0, 0)

    def test_one_of_three(self):
        found = trial.understanding(np.stack([FIRST, SECOND, THIRD]), np.stack([FIRST, THIRD, SECOND]))
        assert found.first == pytest.approx(1 / 3)
        assert found.won == pytest.approx(1 / 3)


class TestRead:
    def test_pictures_and_captions(self, tmp_path):
        for name, colour in (("a.png", "red"), ("b.png", "blue"), ("c.png", "white")):
            picture(tmp_path / name, colour)
        (tmp_path / "metadata.csv").write_text("file,title,caption\na.png,,all red\nb.png,x,all blue\nc.png,x,\n")
        pairs = trial.read(tmp_path)
        assert [(pair.caption, pair.image.getpixel((0, 0))) for pair in pairs] == [
            ("all red", (255, 0, 0)),
            ("all blue", (0, 0, 255)),
        ]

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("name,caption\na.png,x\n", "KeyError"),
            ("file,caption\nnope.png,x\n", "FileNotFound"),
            (None, "metadata.csv"),
        ],
    )
    def test_what_is_missing_is_named(self, tmp_path, table, message):
        if table:
            (tmp_path / "metadata.csv").write_text(table)
        with pytest.raises(JudgementError, match=f"must have a metadata.csv.*{message}"):
            trial.read(tmp_path)

    def test_a_picture_that_is_none(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
        (tmp_path / "metadata.csv").write_text("file,caption\na.png,x\n")
        with pytest.raises(CorruptFile):
            trial.read(tmp_path)


def picture(path, colour):
    Image.new("RGB", (8, 8), colour).save(path)


def test_speed_counts_inputs_and_runs_at_least_once():
    given = []
    assert trial.speed(given.extend, [1, 2, 3], 0) > 0
    assert given == [1, 2, 3]
