"""Switches the model of a library of 10,000 rows while other processes search it without a pause, and counts mistakes.

    python scripts/try_switch.py [--rows 10000] [--rename]

In a new project, as docs/switching.md tells it: declare, fill, switch, back, switch, and drop the old field, whose name
the new one takes with ``--rename``. Each search is held
against numpy: its ten rows must be the nearest by one model or the other, and by the new one from the switch on.
"""

import argparse
import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from example_project.postgres import embedded_url
from mmsearch_django.embedders.dummy import DummyEngine

DIMENSIONS = {"default": 64, "next": 96}
QUERIES = [f"word{n} word{n + 1} word{n + 2}" for n in range(0, 200, 7)]
NEAR = 2e-3
"""What half precision moves a similarity by."""
MODELS = """
from django.db import models
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.queryset import SearchManager
from mmsearch_django.sources import TextSource

class Item(models.Model):
    title = models.CharField(max_length=100)
    {fields}
    objects = SearchManager()
"""
OLD = 'words = EmbeddingField(TextSource("title"))'
NEW = 'words2 = EmbeddingField(TextSource("title"), embedder="next", replaces="words")'
ALONE = 'words2 = EmbeddingField(TextSource("title"), embedder="next")'
RENAMED = 'words = EmbeddingField(TextSource("title"), embedder="next")'
SETTINGS = """
INSTALLED_APPS += ["mmsearch_django", "library"]
import dj_database_url
DATABASES = {{"default": dj_database_url.parse({url!r})}}
DUMMY = "mmsearch_django.embedders.dummy.DummyEmbedder"
MMSEARCH = {{"EMBEDDERS": {{
    alias: {{"BACKEND": DUMMY, "MODEL": alias, "OPTIONS": {{"dimensions": n}}}} for alias, n in {dimensions}.items()
}}}}
"""
RENAME = """
import django.db.models.deletion
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("library", "{last}")]
    operations = [
        migrations.DeleteModel("ItemWords"),
        migrations.RenameModel("ItemWords2", "ItemWords"),
        migrations.AlterModelTable("ItemWords", "library_item_words"),
        migrations.AlterModelOptions("ItemWords", {{
            "default_permissions": (),
            "verbose_name": "item words vector",
            "verbose_name_plural": "item words vectors",
        }}),
        migrations.AlterField("ItemWords", "object", models.OneToOneField(
            "library.Item", django.db.models.deletion.DO_NOTHING, db_constraint=False, primary_key=True,
            related_name="words", serialize=False,
        )),
    ]
"""
SEARCHER = """
import json, os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "site_of_mine.settings"
import django
django.setup()
from library.models import Item
queries = json.loads(sys.argv[1])
for turn in range(10**9):
    query, began = queries[turn % len(queries)], time.time()
    try:
        found = [item.pk for item in Item.objects.search(query, floor=None)[:10]]
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    print(json.dumps([began, query, found]), flush=True)
"""


class Site:
    """A project in a folder, its rows, and what each model finds nearest."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.run(sys.executable, "-m", "django", "startproject", "site_of_mine", ".")
        self.manage("startapp", "library")
        with (folder / "site_of_mine/settings.py").open("a") as file:
            file.write(SETTINGS.format(url=embedded_url(folder / "postgres"), dimensions=DIMENSIONS))
        random = np.random.default_rng(0)
        self.titles = [" ".join(f"word{n}" for n in random.choice(300, 4, replace=False)) for _ in range(rows)]
        self.similarities = {alias: self._similarities(dimensions) for alias, dimensions in DIMENSIONS.items()}

    def _similarities(self, dimensions: int) -> Any:
        engine = DummyEngine(dimensions)
        queries, items = (engine.texts(texts, query=False) for texts in (QUERIES, self.titles))
        unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (queries, items)]
        return unit[0] @ unit[1].T

    def run(self, *command: str, code: int = 0, **more: Any) -> str:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **more)
        if done.returncode != code:
            raise SystemExit(f"{' '.join(command[-4:])} exited with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def manage(self, *arguments: str, code: int = 0) -> str:
        began = time.monotonic()
        said = self.run(sys.executable, "manage.py", *arguments, code=code)
        print(f"{time.monotonic() - began:6.1f} s  manage.py {' '.join(arguments)}", flush=True)
        return said

    def declare(self, *fields: str) -> None:
        (self.folder / "library/models.py").write_text(MODELS.format(fields="\n    ".join(fields)))

    def migrate(self) -> None:
        self.manage("makemigrations", "library")
        self.manage("migrate", "-v", "0")

    def who(self, query: str, found: Sequence[int] | str) -> str:
        """The model by which these are the ten nearest, or what went wrong."""
        if isinstance(found, str):
            return found
        for alias, similarities in self.similarities.items():
            row = similarities[QUERIES.index(query)]
            if len(found) == 10 and np.allclose(row[np.array(found) - 1], np.sort(row)[:-11:-1], atol=NEAR):
                return alias
        return "neither"


class Searcher:
    """A process that searches until it is stopped; of the code that is there when it starts."""

    def __init__(self, site: Site, name: str) -> None:
        self.site, self.name = site, name
        self.log = site.folder / f"{name}.log"
        with self.log.open("w") as log:
            command = [sys.executable, "-W", "ignore", "-c", SEARCHER, json.dumps(QUERIES)]
            self.process = subprocess.Popen(command, cwd=site.folder, stdout=log, stderr=subprocess.STDOUT)
        atexit.register(self.process.kill)
        while len(self.log.read_text().splitlines()) < len(QUERIES):
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text())
            time.sleep(0.1)

    def stop(self, since: dict[float, str]) -> bool:
        """Print who answered in each phase, by when the search began. Returns whether all was as it must be."""
        self.process.terminate()
        self.process.wait()
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("]")]
        counts: dict[str, Counter[str]] = {}
        for began, query, found in lines:
            phase = [name for moment, name in since.items() if moment <= began][-1]
            counts.setdefault(phase, Counter())[self.site.who(query, found)] += 1
        for phase, counted in counts.items():
            print(f"    {self.name}, {phase}: {dict(counted)}")
        return all(self._is_right(phase, set(counted)) for phase, counted in counts.items())

    def _is_right(self, phase: str, answered: set[str]) -> bool:
        if self.name == "former":  # Its code knows one field alone.
            return answered == {"default"}
        return answered == {phase[5:]} if phase.startswith("only ") else answered <= {"default", "next"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rename", action="store_true")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    os.environ["DJANGO_SETTINGS_MODULE"] = "site_of_mine.settings"
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), options.rows)
        right = switched(site, rename=options.rename)
        print(site.manage("mmsearch_status"))
    print("None wrong, none failed." if right else "WRONG")
    raise SystemExit(not right)


def filled(site: Site) -> Searcher:
    """The library as it was, searched by a process that knows one field."""
    site.declare(OLD)
    site.migrate()
    fill = f"from library.models import Item; Item.objects.bulk_create(Item(title=t) for t in {site.titles!r})"
    (site.folder / "fill.py").write_text(fill)
    with (site.folder / "fill.py").open() as file:
        site.run(sys.executable, "manage.py", "shell", stdin=file)
    site.manage("mmsearch_index")
    return Searcher(site, "former")


def switched(site: Site, *, rename: bool) -> bool:
    """Whether no search was wrong and none failed."""
    since: dict[float, str] = {0.0: "only default"}
    former = filled(site)
    site.declare(OLD, NEW)
    site.migrate()
    present = Searcher(site, "present")
    site.manage("mmsearch_switch", "library.Item", "words", code=1)
    site.manage("mmsearch_index", "--field", "words2")
    for arguments, serves in (((), "next"), (("--back",), "default"), ((), "next")):
        since[time.time()] = "while it is switched"
        print(site.manage("mmsearch_switch", "library.Item", "words", *arguments).strip())
        since[time.time()] = f"only {serves}"
        time.sleep(5)
    right = former.stop(since)
    if rename:  # As after any renamed table, processes of the former deploy would fail.
        right &= present.stop(since)
        site.declare(RENAMED)
        last = max(path.stem for path in (site.folder / "library/migrations").glob("0*.py"))
        (site.folder / "library/migrations/0100_rename.py").write_text(RENAME.format(last=last))
        site.manage("makemigrations", "--check", "library")
        site.manage("migrate", "--skip-checks", "-v", "0")
        return Searcher(site, "renamed").stop(since) and right
    site.declare(ALONE)
    site.migrate()
    after = Searcher(site, "after")
    return present.stop(since) & after.stop(since) & right


if __name__ == "__main__":
    main()
