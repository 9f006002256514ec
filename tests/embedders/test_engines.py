import threading
import time

import pytest

from mmsearch_django.embedders import engines
from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.exceptions import EmbedderUnavailable, SelfTestFailed


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(engines, "_engines", {})


class Counting(DummyEmbedder):
    loads = 0

    def load(self):
        type(self).loads += 1
        time.sleep(0.02)
        return super().load()


class Other(Counting):
    pass


@pytest.fixture(autouse=True)
def counted():
    Counting.loads = Other.loads = 0


class TestGet:
    def test_loads_once(self):
        assert engines.get(Counting("a")) is engines.get(Counting("a"))
        assert Counting.loads == 1

    def test_aliases_of_one_configuration_share(self):
        assert engines.get(Counting("a")) is engines.get(Counting("b"))

    @pytest.mark.parametrize(
        "other",
        [Counting("a", model="x"), Counting("a", revision="x"), Counting("a", options={"dimensions": 32}), Other("a")],
    )
    def test_other_configurations_do_not(self, other):
        assert engines.get(Counting("a")) is not engines.get(other)

    def test_threads_load_it_once(self):
        found = []
        threads = [threading.Thread(target=lambda: found.append(engines.get(Counting("a")))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(map(id, found))) == 1
        assert Counting.loads == 1

    def test_a_load_that_fails_is_tried_again(self):
        class Failing(Counting):
            def load(self):
                engine = super().load()
                if self.loads == 1:
                    raise EmbedderUnavailable("not yet")
                return engine

        with pytest.raises(EmbedderUnavailable, match="not yet"):
            engines.get(Failing("a"))
        assert engines.get(Failing("a"))

    def test_one_that_fails_its_test_never_serves(self):
        class Same(Counting):
            def load(self):
                engine = super().load()
                engine._text = lambda text: engine._random("same", (64,))
                return engine

        for _ in range(2):
            with pytest.raises(SelfTestFailed):
                Same("a").embed_texts(["a"])
        assert Same.loads == 2

    def test_an_embedder_may_load_the_one_behind_it(self):
        class Forwarding(Counting):
            def load(self):
                return engines.get(Counting("a"))

        assert engines.get(Forwarding("b")) is engines.get(Counting("a"))
