"""How fast indexing is, against the least that could be written by hand.

    python -m benchmarks.indexing --only text pictures

**text**: the pipeline with an embedder that does no work, against a loop of COPY in binary and one INSERT .. SELECT.
**pictures**: JPEGs of 2 and 12 megapixels with the starter, against its two halves alone: decoding the files, and
embedding what is decoded. Contestants take turns; ratios are medians of the rounds. It empties the benchmarks' tables.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import django
import numpy as np
from tqdm import tqdm

from benchmarks import sizing
from benchmarks.decoding import SIZES
from benchmarks.sizing import execute

BATCH = 1000
"""Rows that the loop by hand reads, embeds and copies at once."""
KEPT_DECODED = 64
GRAIN = 6
"""How far, in 255ths, a pixel is from what enlarging made of it: files become as large as photographs."""


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def turns(rounds: int, contestants: dict[str, Callable[[], float]]) -> list[dict[str, float]]:
    """The seconds of each in each round."""
    bar = tqdm(total=rounds * len(contestants), unit="run")
    found = []
    with bar:
        for _ in range(rounds):
            times = {}
            for name, contestant in contestants.items():
                bar.set_description(name)
                times[name] = contestant()
                bar.update()
            found.append(times)
    return found


def median(times: list[dict[str, float]], name: str, over: str | None = None) -> float:
    """Of the seconds of a contestant, or of their ratio to another's in the same round."""
    return statistics.median(one[name] / (one[over] if over else 1.0) for one in times)


# Text


def text(rows: int, rounds: int) -> Iterator[str]:
    look = target("Item")
    contestants = {"pipeline": lambda: _pipeline(look, rows), "by hand": lambda: _by_hand(look, rows)}
    times = turns(rounds, contestants)
    yield f"{rows:,} texts, {rounds} rounds:\n"
    yield "| | rows a second | / by hand |\n|---|---|---|"
    for name in contestants:
        yield f"| {name} | {rows / median(times, name):,.0f} | {1 / median(times, name, 'by hand'):.2f} |"


def _pipeline(look: Any, rows: int) -> float:
    """From marks to vectors, draining included."""
    from mmsearch_django.indexing.pipeline import work

    _empty(look)
    sizing.insert(rows)
    taken = seconds(lambda: [None for _ in work(look)])
    _require_vectors(look, rows)
    return taken


def _by_hand(look: Any, rows: int) -> float:
    _empty(look)
    sizing.insert(rows)
    taken = seconds(lambda: _copy(look.vector_table))
    _require_vectors(look, rows)
    return taken


def _copy(table: str) -> None:
    from django.db import connection, transaction
    from pgvector import HalfVector
    from pgvector.psycopg import register_vector

    from benchmarks.models import Item

    register_vector(connection.connection)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE copied (object_id bigint, vector halfvec) ON COMMIT DROP")
        rows = list(Item.objects.values_list("pk", "title"))
        with cursor.copy("COPY copied FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "halfvec"])
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                vectors = sizing.texts([title for _, title in batch])
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                for (key, _), vector in zip(batch, vectors, strict=True):
                    copy.write_row((key, HalfVector(vector)))
        cursor.execute(
            f"INSERT INTO {table} (object_id, vector, signature, preprocessing, embedded_at)"
            " SELECT object_id, vector, 'by hand', 1, now() FROM copied"
        )


def _empty(look: Any) -> None:
    tables = [look.object_table, look.vector_table, "mmsearch_django_state", "mmsearch_django_mark"]
    execute(f"TRUNCATE {', '.join(tables)}")
    execute("TRUNCATE mmsearch_django_mark")  # That all of them went is marked too.


def _require_vectors(look: Any, rows: int) -> None:
    found = look.vectors.count()
    if found != rows:
        raise RuntimeError(f"{found:,} of {rows:,} rows have a vector: this was no race.")


# Pictures


def pictures(count: int, rounds: int) -> Iterator[str]:
    look = target("Picture")
    names = _made(count)
    contestants = {
        "pipeline": lambda: _pipeline_of(look, names),
        "decoder": lambda: _decoder(names),
        "embedder": lambda: _embedder(look, names),
    }
    times = turns(rounds, contestants)
    for one in times:
        one["slower half"] = max(one["decoder"], one["embedder"])
    yield f"{count:,} pictures, {rounds} rounds:\n"
    yield "| | pictures a second | / slower half |\n|---|---|---|"
    for name in contestants:
        yield f"| {name} | {count / median(times, name):.1f} | {1 / median(times, name, 'slower half'):.2f} |"


def _made(count: int) -> list[str]:
    """JPEGs in both sizes by turns, as stored: the demo's pictures enlarged, each with grain of its own."""
    from django.conf import settings
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from PIL import Image, ImageChops

    demo = sorted((Path(settings.BASE_DIR) / "example_project/demo_media").glob("*.webp"))
    random = np.random.default_rng(0)
    width, height = SIZES[-1]
    grain = Image.fromarray(random.integers(0, 2 * GRAIN, (height, width, 3), dtype=np.uint8))
    names = [f"{number:04}-{SIZES[number % 2][0]}.jpg" for number in range(count)]
    for number, name in enumerate(tqdm(names, desc="making pictures", unit="picture")):
        if default_storage.exists(name):
            continue
        with Image.open(demo[number // 2 % len(demo)]) as opened:
            enlarged = opened.convert("RGB").resize(SIZES[number % 2], Image.Resampling.BICUBIC)
        data = BytesIO()
        ImageChops.add(enlarged, ImageChops.offset(grain, number).crop((0, 0, *enlarged.size)), offset=-GRAIN).save(
            data, "JPEG", quality=85
        )
        default_storage.save(name, ContentFile(data.getvalue()))
    return names


def _pipeline_of(look: Any, names: list[str]) -> float:
    from benchmarks.models import Picture
    from mmsearch_django.indexing.pipeline import work

    _empty(look)
    Picture.objects.bulk_create(Picture(file=name) for name in names)
    taken = seconds(lambda: [None for _ in work(look)])
    _require_vectors(look, len(names))
    return taken


def _decoder(names: list[str]) -> float:
    """One file after another, as a process with one thread would."""
    from benchmarks.models import Picture
    from mmsearch_django.media import images

    return seconds(lambda: [images.read(Picture(file=name).file) and None for name in names])


def _embedder(look: Any, names: list[str]) -> float:
    """As many as can be held decoded, again and again."""
    from benchmarks.models import Picture
    from mmsearch_django.conf import conf
    from mmsearch_django.media import images

    held: Any = [images.read(Picture(file=name).file) for name in names[:KEPT_DECODED]]
    decoded = [one.image for one in held]
    images_of = [decoded[number % len(decoded)] for number in range(len(names))]
    embedder = look.field.embedder.here()
    starts = range(0, len(names), conf.BATCH_SIZE)
    return seconds(lambda: [embedder.embed_images(images_of[s : s + conf.BATCH_SIZE]) for s in starts])


# Setting the scene


def target(model: str) -> Any:
    from django.apps import apps

    from mmsearch_django.fields import embedding_fields
    from mmsearch_django.indexing import targets

    found = targets.target(embedding_fields(apps.get_model("benchmarks", model))["look"])
    found.field.embedder.warm_up()
    return found


def prepare(dimensions: int) -> None:
    """Empty tables, whatever another benchmark left, and the embedder that does no work."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ["BENCHMARK_DIMENSIONS"] = str(dimensions)
    from django.apps import apps
    from django.conf import settings
    from django.core.management import call_command

    settings.MMSEARCH["EMBEDDERS"]["default"] = sizing.embedder(dimensions)
    django.setup()
    sizing._pool.update(sizing.fill_pool(dimensions))
    for model in apps.get_app_config("benchmarks").get_models(include_auto_created=True):
        execute(f'DROP TABLE IF EXISTS "{model._meta.db_table}" CASCADE')
    call_command("migrate", run_syncdb=True, verbosity=0)
    execute("UPDATE mmsearch_django_space SET signature = ''")
    execute("TRUNCATE mmsearch_django_state, mmsearch_django_mark")


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "text": lambda a: text(a.rows, a.rounds),
    "pictures": lambda a: pictures(a.pictures, a.rounds),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    prepare(arguments.dimensions)
    for name in arguments.only:
        print("\n".join(["", f"## {name}", "", *PARTS[name](arguments)]), flush=True)


if __name__ == "__main__":
    main()
