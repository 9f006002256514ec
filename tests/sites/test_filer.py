"""docs/existing-apps.md on a site with django-filer, whose images are children of its files in tables of their own."""

import shutil

import pytest

from tests.projects import SAMPLES, entered, manage, started
from tests.sites import library

APPS = 'INSTALLED_APPS += ["easy_thumbnails", "filer"]\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filer")
    settings = APPS + (SAMPLES / "settings.py").read_text()
    with started(folder, "library", database="mmsearch_filer", settings=settings):
        shutil.copy(SAMPLES / "filer/models.py", folder / "library")
        manage(folder, "makemigrations", "library")
        yield folder


@pytest.fixture(scope="module")
def process(project):
    with entered(project) as call:
        call(library.migrate)
        yield call


@pytest.fixture
def site(process):
    process(empty)
    return process


# In the site


def empty():
    from filer.models import File, Folder

    File.objects.all().delete()
    Folder.objects.all().delete()
    library.index()


def upload(*names):
    """Through filer's own view, into the folder "pictures". The keys, and what waits then."""
    from django.core.files.uploadedfile import SimpleUploadedFile
    from filer.models import Folder

    folder = Folder.objects.get_or_create(name="pictures")[0]
    client, keys = library.librarian(), []
    for name in names:
        text = name.endswith(".txt")
        file = SimpleUploadedFile(name, b"hello", "text/plain") if text else library.picture(name)
        answer = client.post(f"/admin/filer/clipboard/operations/upload/{folder.pk}/", {"file": file})
        keys.append(str(answer.json()["file_id"]))
    return keys, library.marked()


def found(text, **filters):
    from filer.models import Image

    from mmsearch_django.queryset import search

    return [(type(image).__name__, image.label) for image in search(Image.objects.filter(**filters), text)]


def found_in_other_querysets():
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from filer.models import File, Image

    from mmsearch_django.exceptions import QueryError
    from mmsearch_django.queryset import report, search, similar_to

    with CaptureQueriesContext(connection) as queries:
        list(search(Image.objects.all(), "red car"))
    with pytest.raises(QueryError) as refused:
        search(File.objects.all(), "red car")
    plain = search(Image.objects.non_polymorphic().select_related("folder"), "red car")
    nearest = similar_to(Image.objects.all(), Image.objects.get(original_filename="car.webp"), floor=None)
    return {
        "queries": len(queries),
        "plain": [(image.label, image.folder.name) for image in plain],
        "similar": sorted(image.label for image in nearest),
        "complete": report(plain).complete,
        "refused": str(refused.value),
    }


def update(model, key, **values):
    import filer.models

    getattr(filer.models, model).objects.filter(pk=key).update(**values)
    return library.marked()


def replace(key, name):
    """The file, in filer's form."""
    client, url = library.librarian(), f"/admin/filer/image/{key}/change/"
    form = client.get(url).context["adminform"].form
    answer = client.post(url, {**library.filled(form), "file": library.picture(name)})
    return answer.status_code, library.marked()


def make_private(key):
    from filer.models import Image

    image = Image.objects.get(pk=key)
    public = image.file.storage.path(image.file.name)
    image.is_public = False
    image.save()
    return public != image.file.storage.path(image.file.name), library.marked()


def delete(key):
    answer = library.librarian().post(f"/admin/filer/image/{key}/delete/", {"post": "yes"})
    library.index()
    return answer.status_code


# The tests


def test_migrations_are_the_sites_own(site):
    said = ["No changes detected", "System check identified no issues (0 silenced)."]
    assert site(library.migrations, "library") == ({"filer"}, ["ImageLook", "ImageWords"], said)


def test_uploads(site):
    (car, giraffes, _), waiting = site(upload, "car.webp", "giraffes.webp", "notes.txt")
    assert waiting == [(field, key) for field in ("look", "words") for key in sorted([car, giraffes])]
    site(library.index)
    assert site(library.states) == {
        **{("look", key): "ready" for key in (car, giraffes)},
        **{("words", key): "skipped" for key in (car, giraffes)},
    }
    assert site(found, "red car") == [("Image", "car.webp")]
    assert site(found, "red car", folder__name="pictures") == [("Image", "car.webp")]
    assert site(found, "red car", folder__name="elsewhere") == []


def test_querysets(site):
    site(upload, "car.webp", "giraffes.webp")
    site(library.index)
    assert site(found_in_other_querysets) == {
        "queries": 2,  # One asks for the signatures.
        "plain": [("car.webp", "pictures")],
        "similar": ["giraffes.webp"],
        "complete": True,
        "refused": "filer.File has no embedding field. Declare one, or use searchable().",
    }


def test_columns_of_the_parent_and_of_the_child(site):
    [key], _ = site(upload, "car.webp")
    site(library.index)
    assert site(update, "File", key, description="not watched") == []
    assert site(update, "Image", key, author="not watched") == []
    assert site(update, "File", key, name="a lighthouse by the sea") == [("words", key)]
    site(library.index)
    assert site(found, "a lighthouse by the sea") == [("Image", "a lighthouse by the sea")]
    assert site(update, "Image", key, default_caption="and a storm") == [("words", key)]


def test_a_replaced_file(site):
    [key], _ = site(upload, "car.webp")
    site(library.index)
    assert site(replace, key, "balloons.webp") == (302, [("look", key)])
    site(library.index)
    assert site(found, "red car") == []
    assert site(found, "three balloons") == [("Image", "car.webp")]  # As filer goes on to call it.


def test_a_file_moved_to_the_private_storage(site):
    [key], _ = site(upload, "car.webp")
    site(library.index)
    assert site(make_private, key) == (True, [("look", key)])
    site(library.index)
    assert site(library.states)["look", key] == "ready"
    assert site(found, "red car", is_public=False) == [("Image", "car.webp")]


def test_deleting(site):
    (car, giraffes), _ = site(upload, "car.webp", "giraffes.webp")
    site(library.index)
    assert site(delete, car) == 302
    assert {key for _, key in site(library.states)} == {giraffes}
    assert site(found, "red car") == []
