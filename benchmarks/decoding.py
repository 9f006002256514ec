"""What it costs to decode pictures in a process of their own.

    python -m benchmarks.decoding

JPEGs of 2 and 12 megapixels, decoded in this process and through the sandbox in turns. No database is needed.
"""

import argparse
from io import BytesIO
from statistics import median
from time import perf_counter

import numpy as np
from django.conf import settings
from PIL import Image

from mmsearch_django.media import images
from mmsearch_django.media.sandbox import decoders

SIZES = ((1632, 1224), (4000, 3000))


def jpeg(width: int, height: int) -> bytes:
    """Soft patches with some grain: about as large as a photograph."""
    random = np.random.default_rng(0)
    patches = Image.fromarray(random.integers(0, 255, (height // 40, width // 40, 3), dtype=np.uint8))
    pixels = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = random.integers(-6, 6, pixels.shape)
    data = BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=85)
    return data.getvalue()


def seconds(decode, data: bytes) -> float:
    start = perf_counter()
    decode(data, "picture")
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    settings.configure()
    print("| JPEG | MB | ms here | ms sandbox | sandbox / here |\n|---|---|---|---|---|")
    for width, height in SIZES:
        data = jpeg(width, height)
        decoders.decode(data, "picture")
        here, there = zip(
            *((seconds(images.decode_here, data), seconds(decoders.decode, data)) for _ in range(rounds)), strict=True
        )
        ratio = median(b / a for a, b in zip(here, there, strict=True))
        name, size = f"{width} x {height}", len(data) / 1e6
        print(f"| {name} | {size:.1f} | {median(here) * 1e3:.1f} | {median(there) * 1e3:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
