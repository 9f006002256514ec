"""The real decoder, but deadly to it is what may follow a picture: today's Pillow knows no file that is."""

import ctypes
import os
import sys

from mmsearch_django.media import decoder, images

DEADLY = b"DEADLY"
COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "tests.media.deadly")

honest = images.decode_here


def decode_here(data, name):
    match data.partition(DEADLY)[2]:
        case b"segfault":
            ctypes.string_at(0)
        case b"abort":
            os.abort()
        case b"greedy":
            return [bytearray(1 << 24) for _ in iter(int, 1)]
        case b"endless":
            while True:
                pass
    return honest(data, name)


if __name__ == "__main__":
    images.decode_here = decode_here
    decoder.GRACE_SECONDS = 0.5
    decoder.main()
