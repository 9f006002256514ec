"""Photographs from files to vectors by the starter embedder, against each step alone."""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL.Image import Image

from benchmarks.loading import growth
from benchmarks.models import Photo
from benchmarks.photographs import Photographs, jpeg
from benchmarks.sizing import execute
from mmsearch_django.conf import conf
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.reading import READERS
from mmsearch_django.indexing.targets import Target, target
from mmsearch_django.media import images


def photos() -> Target:
    return target(embedding_fields(Photo)["look"])


def decode(number: int) -> Image:
    return images.decode(Photographs().open(f"{number}.jpg").read(), name=f"{number}.jpg")


def decoder(numbers: Sequence[int], threads: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as executor:
        for _ in executor.map(decode, numbers):
            pass
    return time.perf_counter() - start


def embedder(decoded: Sequence[Image], count: int) -> float:
    embed, start = photos().field.embedder.embed_images, time.perf_counter()
    for _ in range(0, count, len(decoded)):
        embed(decoded)
    return time.perf_counter() - start


def pipeline(numbers: Sequence[int]) -> float:
    look = photos()
    execute(f"TRUNCATE benchmarks_photo, {look.vector_table}, mmsearch_django_state, mmsearch_django_mark")
    Photo.objects.bulk_create(Photo(title=str(number), file=f"{number}.jpg") for number in numbers)
    while claims.drain(look):
        pass
    start = time.perf_counter()
    assert sum(counts["ready"] for counts in work(look)) == len(numbers)
    return time.perf_counter() - start


def pictures(arguments: argparse.Namespace) -> Iterator[str]:
    count = max(arguments.pictures // conf.BATCH_SIZE, 1) * conf.BATCH_SIZE
    numbers = range(count)
    decoded = [decode(number) for number in numbers[: conf.BATCH_SIZE]]
    photos().field.embedder.warm_up()
    took, most = [], [0, 0]
    for _ in range(arguments.rounds):
        alone = embedder(decoded, count), decoder(numbers, 1), decoder(numbers, READERS)
        with growth() as grown:
            took.append((*alone, pipeline(numbers)))
        most = list(map(max, most, grown))
    one, several = (
        statistics.median(max(embedding, (single, many)[which]) / ours for embedding, single, many, ours in took)
        for which in (0, 1)
    )
    megabytes = " and ".join(f"{len(jpeg(number)) / 1e6:.1f}" for number in (0, 1))
    yield f"| {count} JPEGs, half of 2 and half of 12 megapixels ({megabytes} MB) | a second |"
    yield "|---|---|"
    names = ("the embedder alone, on decoded batches", "one decoder", f"{READERS} decoders at once", "pipeline")
    for name, seconds in zip(names, zip(*took, strict=True), strict=True):
        yield f"| {name} | {count / statistics.median(seconds):.1f} |"
    yield f"\npipeline / the slower of embedder and one decoder: {one:.2f}; and {READERS} decoders: {several:.2f}"
    yield f"the process grew by {most[0] / 1e6:.0f} MB at most, beside decoders of {most[1] / 1e6:.0f} MB"
