import threading
import time

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.base import ContentFile
from django.db import connection, transaction

from mmsearch_django.exceptions import ConfigurationError, CorruptFile
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import reading
from mmsearch_django.indexing.targets import target
from tests.colours import encoded
from tests.indexing.conftest import embed_all
from tests.models import Asset


@pytest.fixture
def visual(transactional_db, settings, tmp_path):
    """The picture field of assets, with three pictures to be embedded; nobody is in a transaction."""
    settings.MEDIA_ROOT = tmp_path
    for colour in ("red", "green", "blue"):
        Asset.objects.create(title=colour, file=ContentFile(encoded(colour), name=f"{colour}.png"))
    return target(embedding_fields(Asset)["visual"])


class TestThreads:
    @pytest.fixture(autouse=True)
    def two(self, monkeypatch):
        monkeypatch.setattr(reading, "READERS", 2)

    @pytest.fixture(autouse=True)
    def none_is_left(self, two):
        yield
        assert not [one for one in threading.enumerate() if one.name.startswith("mmsearch-")]

    def patched(self, monkeypatch, visual, act):
        def read(instance):
            act(instance)
            return type(visual.field.source).read(visual.field.source, instance)

        monkeypatch.setattr(visual.field.source, "read", read)

    def test_two_at_once(self, visual, monkeypatch):
        together = threading.Barrier(2)
        self.patched(monkeypatch, visual, lambda asset: asset.title != "blue" and together.wait(10))
        assert embed_all(visual) == {"ready": 3}

    def test_in_a_transaction_the_caller_reads(self, visual, monkeypatch):
        threads = set()
        self.patched(monkeypatch, visual, lambda asset: threads.add(threading.current_thread()))
        with transaction.atomic():
            assert embed_all(visual) == {"ready": 3}
        assert threads == {threading.current_thread()}

    def test_a_source_may_ask_the_database(self, visual, monkeypatch):
        self.patched(monkeypatch, visual, lambda asset: Asset.objects.get(pk=asset.pk))
        assert embed_all(visual) == {"ready": 3}
        with connection.cursor() as cursor:  # Theirs are closed.
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'"
            )
            assert cursor.fetchone() == (0,)

    def test_one_bad_file_stops_no_other(self, visual, monkeypatch):
        def act(asset):
            if asset.title == "green":
                raise CorruptFile("cut short")

        self.patched(monkeypatch, visual, act)
        assert embed_all(visual) == {"ready": 2, "failed": 1}

    def test_what_stops_all_leaves_no_claim(self, visual, monkeypatch):
        def act(asset):
            raise ConfigurationError("no decoder can be started")

        self.patched(monkeypatch, visual, act)
        with pytest.raises(ConfigurationError, match="no decoder"):
            embed_all(visual)
        assert set(visual.states.values_list("status", "lease_until")) == {("pending", None)}

    def test_a_soft_time_limit_is_nobodys_fault(self, visual, monkeypatch, struck):
        visual.field.embedder.warm_up()
        read = []

        def act(asset):
            read.append(asset.title)
            if len(read) == 1:
                struck()
            time.sleep(0.5)

        with monkeypatch.context() as patch:
            self.patched(patch, visual, act)
            with pytest.raises(SoftTimeLimitExceeded):
                embed_all(visual)
        assert len(read) == 2  # One for each thread: the third was left.
        assert set(visual.states.values_list("status", "attempts", "lease_until")) == {("pending", 0, None)}
        assert embed_all(visual) == {"ready": 3}

    def test_threads_are_kept_from_batch_to_batch(self, visual, monkeypatch):
        """A storage that keeps a connection for each thread does not connect for each batch."""
        monkeypatch.setattr(reading, "READERS", 1)
        threads = []
        self.patched(monkeypatch, visual, lambda asset: threads.append(threading.current_thread()))
        assert embed_all(visual, size=1) == {"ready": 3}
        assert len(set(threads)) == 1
        assert threads[0] is not threading.current_thread()
