"""docs/existing-apps.md on a site with Wagtail: its own images, and a model of images made from them."""

import shutil

import pytest

from tests.projects import SAMPLES, entered, manage, started
from tests.sites import library

SETTINGS = """
import os
INSTALLED_APPS += [
    "wagtail.users", "wagtail.images", "wagtail.documents", "wagtail.snippets", "wagtail.sites", "wagtail.search",
    "wagtail.admin", "wagtail", "modelcluster", "taggit", "django_filters",
]
WAGTAIL_SITE_NAME = "Pictures"
WAGTAILADMIN_BASE_URL = "http://localhost"
WAGTAILIMAGES_IMAGE_MODEL = os.environ.get("IMAGE_MODEL", "wagtailimages.Image")
"""
URLS = """
from django.urls import include
from wagtail.admin import urls as wagtail_admin
urlpatterns = [path("cms/", include(wagtail_admin))]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wagtail")
    settings = SETTINGS + (SAMPLES / "settings.py").read_text()
    with started(folder, "library", "pictures", database="mmsearch_wagtail", settings=settings, urls=URLS):
        samples = SAMPLES / "wagtail"
        shutil.copy(samples / "models.py", folder / "library")
        shutil.copy(samples / "wagtail_hooks.py", folder / "library")
        shutil.copy(samples / "custom_models.py", folder / "pictures/models.py")
        manage(folder, "makemigrations", "library", "pictures")
        yield folder


@pytest.fixture(scope="module")
def own_images(project):
    with entered(project) as call:
        call(library.migrate)
        yield call


@pytest.fixture(scope="module")
def custom_images(project, own_images):
    with entered(project, IMAGE_MODEL="pictures.Picture") as call:
        yield call


@pytest.fixture
def site(own_images):
    own_images(empty)
    return own_images


@pytest.fixture
def custom(custom_images):
    custom_images(empty)
    return custom_images


# In the site


def images():
    from wagtail.images import get_image_model

    return get_image_model().objects


def empty():
    images().all().delete()
    library.index()


def upload(name, collection="Root", **values):
    """Through the form for one image. The key, and what waits then."""
    from wagtail.models import Collection

    root = Collection.get_first_root_node()
    if collection != root.name and not Collection.objects.filter(name=collection).exists():
        root.add_child(name=collection)
    client = library.librarian()
    form = client.get("/cms/images/add/").context["form"]
    values |= {"title": name, "file": library.picture(name), "collection": Collection.objects.get(name=collection).pk}
    answer = client.post("/cms/images/add/", {**library.filled(form), "tags": "", **values})
    assert answer.status_code == 302, answer.context["form"].errors
    return str(images().latest("pk").pk), library.marked()


def drop(*names):
    """Through the page that several are dropped on."""
    client = library.librarian()
    for name in names:
        sent = {"title": name, "files[]": library.picture(name), "collection": 1}
        answer = client.post("/cms/images/multiple/add/", sent, headers={"x-requested-with": "XMLHttpRequest"})
        assert answer.json()["success"]
    return library.marked()


def found(text, **filters):
    from mmsearch_django.queryset import search

    return [image.title for image in search(images().filter(**filters), text)]


def found_by_editor(text, collection):
    """By somebody who may choose from one collection."""
    from django.contrib.auth.models import Group, Permission, User
    from wagtail.images import get_image_model
    from wagtail.models import Collection, GroupCollectionPermission
    from wagtail.permissions import policy_registry

    from mmsearch_django.queryset import search

    group = Group.objects.get_or_create(name=f"editors of {collection}")[0]
    permission = Permission.objects.get(content_type__app_label="wagtailimages", codename="choose_image")
    place = Collection.objects.get(name=collection)
    GroupCollectionPermission.objects.get_or_create(group=group, collection=place, permission=permission)
    editor = User.objects.get_or_create(username=f"editor of {collection}")[0]
    editor.groups.set([group])
    policy = policy_registry.get_by_type(get_image_model())
    return [image.title for image in search(policy.instances_user_has_any_permission_for(editor, ["choose"]), text)]


def render(key):
    from mmsearch_django.fields import all_embedding_fields

    rendition = images().get(pk=key).get_rendition("width-100")
    return rendition.width, library.marked(), sorted(field.label for field in all_embedding_fields())


def replace(key, name):
    client, url = library.librarian(), f"/cms/images/{key}/"
    form = client.get(url).context["form"]
    answer = client.post(url, {**library.filled(form), "tags": "", "file": library.picture(name)})
    return answer.status_code, library.marked()


def usage(key):
    """How often Wagtail says that the image is used."""
    from django.core.management import call_command

    call_command("rebuild_references_index", verbosity=0)
    return images().get(pk=key).get_usage().count()


def delete(key):
    client, url = library.librarian(), f"/cms/images/{key}/delete/"
    status = client.get(url).status_code, client.post(url).status_code
    library.index()
    return status


def listed(query):
    """The titles on Wagtail's own page of images."""
    answer = library.librarian().get(f"/cms/images/{query}")
    return [image.title for image in answer.context["images"]]


def listed_without_embedder(query):
    from unittest.mock import patch

    from mmsearch_django.exceptions import EmbedderUnavailable

    with patch("library.wagtail_hooks.search", side_effect=EmbedderUnavailable("It is away.")):
        return listed(query)


# The tests


def test_migrations_are_the_sites_own(site):
    said = ["No changes detected", "System check identified no issues (0 silenced)."]
    assert site(library.migrations, "library") == ({"wagtailimages"}, ["ImageLook", "ImageWords"], said)


def test_uploads(site):
    key, waiting = site(upload, "car.webp")
    assert waiting == [("look", key), ("words", key)]
    assert len(site(drop, "giraffes.webp")) == 4
    site(library.index)
    assert set(site(library.states).values()) == {"ready"}
    assert site(found, "red car") == ["car.webp"]


def test_collections_and_permissions(site):
    site(upload, "car.webp", collection="Traffic")
    site(upload, "giraffes.webp", collection="Animals")
    site(library.index)
    assert site(found, "red car", collection__name="Traffic") == ["car.webp"]
    assert site(found, "red car", collection__name="Animals") == []
    assert site(found_by_editor, "red car", "Traffic") == ["car.webp"]
    assert site(found_by_editor, "red car", "Animals") == []
    assert site(found_by_editor, "giraffes", "Animals") == ["giraffes.webp"]


def test_renditions_are_not_embedded(site):
    key, _ = site(upload, "car.webp")
    site(library.index)
    width, waiting, fields = site(render, key)
    assert (width, waiting) == (100, [])
    assert not [field for field in fields if "Rendition" in field]


def test_a_replaced_file(site):
    key, _ = site(upload, "car.webp")
    site(library.index)
    assert site(replace, key, "balloons.webp") == (302, [("look", key)])
    site(library.index)
    assert site(found, "three balloons", pk=key) == ["car.webp"]


def test_deleting(site):
    car, _ = site(upload, "car.webp")
    giraffes, _ = site(upload, "giraffes.webp")
    site(library.index)
    assert site(usage, car) == 0
    assert site(delete, car) == (200, 302)
    assert {key for _, key in site(library.states)} == {giraffes}


def test_the_page_of_images_searches(site):
    site(upload, "car.webp", collection="Traffic")
    site(upload, "giraffes.webp")
    site(library.index)
    assert site(listed, "") == ["giraffes.webp", "car.webp"]
    assert site(listed, "?q=two+tall+animals") == ["giraffes.webp"]
    assert site(listed, "results/?q=red+car") == ["car.webp"]
    assert site(listed, "?q=zxcv+qwrt") == []
    assert site(listed_without_embedder, "?q=giraffes") == ["giraffes.webp"]


def test_a_model_made_from_wagtails(custom):
    key, waiting = custom(upload, "car.webp", credit="Ada Lovelace")
    assert waiting == [("look", key), ("words", key)]
    custom(library.index)
    assert custom(found, "red car") == ["car.webp"]
    assert custom(found, "Ada Lovelace") == ["car.webp"]
    assert custom(replace, key, "balloons.webp") == (302, [("look", key)])
    assert custom(delete, key) == (200, 302)
    assert not [state for state in custom(library.states) if state == ("look", key)]
