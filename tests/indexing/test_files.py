"""Files replaced in the storage under the same name."""

from collections import Counter

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from mmsearch_django.exceptions import AccessDenied, StorageUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import files
from mmsearch_django.indexing.targets import target
from mmsearch_django.media import images
from mmsearch_django.models import Mark
from tests.colours import encoded
from tests.indexing.conftest import embed_all, statuses
from tests.models import Asset

pytestmark = pytest.mark.django_db


@pytest.fixture
def visual(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    Mark.objects.all().delete()
    return target(embedding_fields(Asset)["visual"])


def make(name, data):
    return Asset.objects.create(title=name, file=ContentFile(data, name=name))


def replace(asset, data):
    storage = storages["default"]
    storage.delete(asset.file.name)
    assert storage.save(asset.file.name, ContentFile(data)) == asset.file.name


def check(visual, **options):
    return sum(files.check_files(visual, **options), start=Counter())


def key(asset):
    return str(asset.pk)


def test_only_what_was_replaced_is_embedded_again(visual):
    red, blue, _green = (make(f"{name}.png", encoded(name)) for name in ("red", "blue", "green"))
    embed_all(visual)
    before = Asset.objects.get(pk=red.pk).visual.digest
    replace(red, encoded("yellow"))
    replace(blue, encoded("blue"))
    assert check(visual, size=2) == {"same": 2, "changed": 1}
    assert list(visual.vectors.filter(pk=red.pk)) != []  # Found until its new vector is there.
    assert embed_all(visual) == {"ready": 1}
    assert Asset.objects.get(pk=red.pk).visual.digest != before
    assert check(visual) == {"same": 3}


def test_what_is_gone_or_broken_now_fails(visual):
    gone, broken = make("gone.png", encoded("red")), make("broken.png", encoded("blue"))
    embed_all(visual)
    gone.file.storage.delete(gone.file.name)
    replace(broken, b"no picture")
    assert check(visual) == {"changed": 2}
    embed_all(visual)
    assert set(statuses(visual).values()) == {"failed"}
    assert not visual.vectors.exists()


def test_what_failed_is_read_again(visual):
    broken = make("broken.png", b"")
    embed_all(visual)
    replace(broken, encoded("red"))
    assert check(visual) == {"changed": 1}
    assert embed_all(visual) == {"ready": 1}


@pytest.mark.parametrize("error", [StorageUnavailable("busy"), AccessDenied("403")])
def test_a_storage_that_does_not_answer_changes_nothing(visual, monkeypatch, error):
    make("red.png", encoded("red"))
    embed_all(visual)

    def unavailable(file):
        raise error

    monkeypatch.setattr(images, "digest", unavailable)
    assert check(visual) == {"unread": 1}
    assert not Mark.objects.filter(space=visual.space).exists()
