"""A reader of a format of its own, as a site registers one with Pillow."""

from PIL import Image, ImageFile

SIGNATURE = b"TESTHEIF"


class Reader(ImageFile.ImageFile):
    format = "HEIF"

    def _open(self):
        self._size, self._mode = (4, 2), "RGB"
        self.tile = [ImageFile._Tile("raw", (0, 0, 4, 2), len(SIGNATURE), ("RGB", 0, 1))]


def accept(header):
    return header.startswith(SIGNATURE)


def register(monkeypatch):
    """For the time of a test."""
    Image.init()
    monkeypatch.setitem(Image.OPEN, "HEIF", (Reader, accept))
