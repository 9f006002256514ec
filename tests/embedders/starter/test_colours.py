import numpy as np
import pytest
from PIL import Image

from mmsearch_django.embedders.starter import colours

NAMES = list(colours.NAMES)


def named(image, region=0):
    """The share of each colour in a region, by name."""
    shares = colours.describe([image])[0][region * len(NAMES) : (region + 1) * len(NAMES)]
    return dict(zip(NAMES, shares, strict=True))


def test_oklab_of_published_colours():
    white, red = colours.oklab(np.array([[255, 255, 255], [255, 0, 0]]))
    assert white == pytest.approx([1, 0, 0], abs=1e-3)
    assert red == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


@pytest.mark.parametrize(
    ("shade", "name"),
    [
        ("red", "red"),
        ("crimson", "red"),
        ("gold", "yellow"),
        ("darkorange", "orange"),
        ("forestgreen", "green"),
        ("skyblue", "light blue"),
        ("navy", "blue"),
        ("indigo", "purple"),
        ("hotpink", "pink"),
        ("saddlebrown", "brown"),
        ("gray", "grey"),
        ("black", "black"),
        ("white", "white"),
    ],
)
def test_shades_by_their_names(shade, name):
    shares = named(Image.new("RGB", (50, 40), shade))
    assert max(shares, key=shares.get) == name
    assert sum(shares.values()) == pytest.approx(1)


def test_where_the_colours_are():
    picture = Image.new("RGB", (90, 90), "white")
    picture.paste("blue", (0, 0, 90, 30))
    picture.paste("red", (36, 36, 54, 54))
    whole, middle, inmost, top, bottom = (named(picture, region) for region in range(5))
    assert whole["blue"] == pytest.approx(1 / 3, abs=0.05)
    assert middle["red"] > 2 * whole["red"]
    assert max(inmost, key=inmost.get) == "red"
    assert max(top, key=top.get) == "blue"
    assert max(bottom, key=bottom.get) == "white"


def test_length_and_neighbours():
    pictures = [Image.new("RGB", (1, 1), "red"), Image.new("L", (1000, 3)), Image.new("RGB", (9, 900), "blue")]
    together = colours.describe(pictures)
    assert together.shape == (3, colours.LENGTH)
    assert together.dtype == np.float32
    for picture, vector in zip(pictures, together, strict=True):
        assert np.array_equal(colours.describe([picture])[0], vector)
