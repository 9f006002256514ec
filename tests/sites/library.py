"""What the tests do inside a site: pictures to upload, and what of them is indexed."""

from tests.projects import MEDIA

PICTURES = {
    "car.webp": "demo116-red-car-cartoon.webp",
    "giraffes.webp": "demo087-two-giraffes-standing-between-trees.webp",
    "balloons.webp": "demo101-three-balloons-green-red-and-orange.webp",
}


def picture(name):
    """As a browser uploads it."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(name, (MEDIA / PICTURES[name]).read_bytes(), "image/webp")


def librarian():
    """A browser of somebody who may do everything."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    users, client = get_user_model().objects, Client()
    client.force_login(users.get_or_create(username="librarian", is_staff=True, is_superuser=True)[0])
    return client


def filled(form):
    """What a browser would send of a form that nobody changed; files apart."""
    from django.forms import FileField

    values = {name: form[name].value() for name, field in form.fields.items() if not isinstance(field, FileField)}
    return {name: "" if value is None else value for name, value in values.items()}


def marked():
    """Which objects wait, by field."""
    from mmsearch_django.models import Mark

    return sorted(Mark.objects.values_list("space__field", "object_id").distinct())


def migrate():
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def index():
    from django.core.management import call_command

    call_command("mmsearch_index", verbosity=0)


def states():
    """Status of each object, by field and key."""
    from mmsearch_django.models import State

    found = State.objects.values_list("space__field", "object_id", "status")
    return {(field, key): status for field, key, status in found}


def migrations(app):
    """The apps that its first migration waits for, the tables that it makes, and what is said of the whole project."""
    from io import StringIO

    from django.core.management import call_command
    from django.db.migrations.loader import MigrationLoader

    first, said = MigrationLoader(None).disk_migrations[app, "0001_initial"], StringIO()
    call_command("makemigrations", check_changes=True, dry_run=True, stdout=said)
    call_command("check", databases=["default"], fail_level="WARNING", stdout=said)
    tables = sorted(operation.name for operation in first.operations)
    return {name for name, _ in first.dependencies}, tables, said.getvalue().splitlines()
