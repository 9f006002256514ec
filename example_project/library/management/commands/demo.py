import io
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import ProgrammingError
from tqdm import tqdm

import example_project
from example_project.library.models import Asset
from example_project.worker import Worker
from mmsearch_django.indexing import renewal
from mmsearch_django.indexing.status import Status, status
from mmsearch_django.indexing.targets import targets

MEDIA = Path(example_project.__file__).parent / "demo_media"
CLOWNFISH = "demo004-orange-and-white-clownfish-in-a-sea-anem.webp"
LOGIN = "demo"
PORT = 8000
POLL_SECONDS = 0.3


class Command(BaseCommand):
    help = "Sets up the example library, embeds its media in a real worker, shows some searches, and serves it."
    requires_system_checks = []  # The database may be empty still.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="Stop when all is embedded and searched.")
        parser.add_argument("--port", type=int, help=f"To serve on (default: {PORT}, or any that is free).")

    def handle(self, *, no_serve: bool, port: int | None, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupt)
        try:
            self.run(no_serve=no_serve, port=port)
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
        except RuntimeError as error:
            raise CommandError(str(error)) from error

    def run(self, *, no_serve: bool, port: int | None) -> None:
        self.say("Setting up the database ...")
        migrate()
        given_up = [renewal.reembed(target) for target in targets(Asset)]
        if any(given_up):
            self.say("This folder was embedded by another model than today's: its media are embedded anew.")
        call_command("check", databases=["default"], stdout=io.StringIO())
        create_login()
        with Worker(settings.DATA / "logs/worker.log") as worker:
            self.say("Importing the demo media ...")
            call_command("import_media", MEDIA)
            self.say("Embedding in a Celery worker ...")
            found = embed(worker)
            self.show_searches()
            if no_serve:
                require_all_ready(found)
                return
            try:
                with worker.kept():
                    self.serve(port)
            finally:
                self.say("\nStopping the worker ...")

    def say(self, text: str) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(text))
        self.stdout.flush()

    def show_searches(self) -> None:
        assets = Asset.objects.all()
        free = assets.filter(licence="CC0-1.0")
        clownfish = assets.filter(file__endswith=CLOWNFISH)
        self.show('search("a windmill by the water")', assets.search("a windmill by the water"))
        self.show('filter(licence="CC0-1.0").search("a stone castle")', free.search("a stone castle"))
        if picture := clownfish.first():
            with picture.file.open() as file:
                self.show(f"search(image={picture.title!r})", assets.search(image=file))

    def show(self, title: str, found: Any) -> None:
        self.say(f"\nAsset.objects.{title}")
        for asset in found[:3]:
            why = ", ".join(f"{leg} #{hit['rank']} ({hit['similarity']:.2f})" for leg, hit in asset.match.items())
            self.stdout.write(f"  {asset.title}: {asset.caption}\n      {self.style.SUCCESS(why)}")
        self.stdout.write(f"  ({found.report})")

    def serve(self, port: int | None) -> None:
        with listen(port) as server:
            address = f"http://127.0.0.1:{server.server_port}/"
            self.say(f"\nServing on {address}")
            self.stdout.write(
                f"  Search there: try 'something that makes music', filter by category, upload a picture,\n"
                f"  follow 'More like this'.\n"
                f"  API: {address}api/assets/?search=a+castle\n"
                f"  Administration: {address}admin/  (login {LOGIN}, password {LOGIN})\n"
                f"  What the worker does: {settings.DATA / 'logs/worker.log'}\n"
                f"  Ctrl-C stops everything."
            )
            self.stdout.flush()
            server.serve_forever()


def interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def migrate() -> None:
    try:
        call_command("migrate", verbosity=0)
    except ProgrammingError as error:
        raise CommandError(
            f"{settings.DATA} was made by a version too early to be brought up to date ({error}). Move it away, or set "
            f"EXAMPLE_DATA to another folder."
        ) from error


def create_login() -> None:
    users = get_user_model()._default_manager
    if not users.filter(username=LOGIN).exists():
        users.create_superuser(username=LOGIN, password=LOGIN)


def embed(worker: Worker) -> list[Status]:
    """Wait until the worker has brought everything to an end, and say how."""
    found = [status(target) for target in targets(Asset)]
    total = sum(one.total for one in found)
    with tqdm(total=total, initial=total - pending(found), desc="embedding", unit="vector", file=sys.stderr) as bar:
        while pending(found):
            worker.check()
            time.sleep(POLL_SECONDS)
            found = [status(target) for target in targets(Asset)]
            bar.update(total - pending(found) - bar.n)
    return found


def pending(found: Iterable[Status]) -> int:
    return sum(one.pending for one in found)


def require_all_ready(found: Iterable[Status]) -> None:
    """Raises CommandError if anything failed."""
    if failed := [f"{one.model}.{one.field}: {number} {name}" for one in found for name, number in one.errors.items()]:
        raise CommandError("Failed: " + "; ".join(failed))


def listen(port: int | None) -> ThreadedWSGIServer:
    """On the given port, else on ours, else on any that is free; on the loopback address alone."""
    try:
        server = ThreadedWSGIServer(("127.0.0.1", port or PORT), WSGIRequestHandler)
    except OSError as error:
        if port:
            raise CommandError(f"Port {port} cannot be used: {error.strerror}") from error
        server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    return server
