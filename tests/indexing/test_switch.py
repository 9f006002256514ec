"""A field that replaces another: not asked until it serves, then asked by the other's name in every process."""

from threading import Event

import numpy as np
import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import EmbedderUnavailable, InvalidVector, NotIndexed, UnknownField
from mmsearch_django.fields import embedding_fields, searched_fields
from mmsearch_django.indexing import floors, hnsw, status, switch
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space
from tests.indexing.conftest import embed_all
from tests.indexing.processes import python
from tests.models import Product

NAMES = ("a red car", "a blue car", "a red house", "one boat", "two boats")
ASK = "a ship"


def old():
    return target(embedding_fields(Product)["words"])


def new():
    return target(embedding_fields(Product)["words2"])


@pytest.fixture
def products(db):
    Product.objects.bulk_create([Product(name=name) for name in NAMES])
    embed_all(old())
    embed_all(new())
    return {product.name: product for product in Product.objects.all()}


def truth(alias, text=ASK, names=NAMES):
    """The names by similarity to the text, by numpy."""
    embedder = embedders[alias]
    similarities = embedder.embed_texts(list(names)) @ embedder.embed_texts([text], query=True)[0]
    return [names[place] for place in np.argsort(-similarities)]


def names(queryset):
    return [product.name for product in queryset]


def ask(**options):
    return Product.objects.search(ASK, floor=None, **options)


def test_the_models_order_differently():
    assert truth("default") != truth("next")


class TestBefore:
    def test_the_replacement_is_no_leg_of_its_own(self, products):
        assert list(searched_fields(Product)) == ["words"]
        found = ask()
        assert names(found) == truth("default")
        assert {leg for product in found for leg in product.match} == {"words"}
        with pytest.raises(UnknownField, match="it has words\\."):
            ask(fields=["sound"])

    def test_it_is_asked_where_it_is_named(self, products):
        found = ask(fields=["words2"])
        assert names(found) == truth("next")
        assert set(found[0].match) == {"words2"}

    def test_what_it_lacks_keeps_nobody_waiting(self, products):
        """Faces show the state of what serves."""
        Product.objects.create(name="late")
        embed_all(old())
        assert not Product.objects.filter(status.waiting(Product)).exists()
        [state] = status.of_objects(Product, [Product.objects.get(name="late").pk], "default").popitem()[1]
        assert (state.field, state.status) == ("words", "ready")
        switch.serve(new(), instead=True)
        assert names(Product.objects.filter(status.waiting(Product))) == ["late"]


class TestAfter:
    @pytest.fixture(autouse=True)
    def switched(self, products):
        assert switch.serve(new(), instead=True)
        assert not switch.serve(new(), instead=True)

    @pytest.mark.parametrize("options", [{}, {"fields": ["words"]}, {"weights": {"words": 2}}])
    def test_its_vectors_answer_under_the_name_of_the_other(self, options):
        found = ask(**options)
        assert names(found) == truth("next")
        assert set(found[0].match) == {"words"}
        assert found.all().report.legs == {"words": "exact"}

    def test_and_back(self):
        assert switch.serve(new(), instead=False)
        assert names(ask()) == truth("default")

    def test_its_own_floors_hold(self):
        strict = {"text": {"zero": 0.9, "floor": 0.98, "one": 0.99}}
        Space.objects.filter(pk=old().space).update(floors=strict)
        assert len(Product.objects.search("a red car", fields=["words"])) > 1
        Space.objects.filter(pk=new().space).update(floors=strict)
        assert names(Product.objects.search("a red car")) == ["a red car"]

    def test_objects_are_compared_by_its_vectors(self, products):
        found = Product.objects.similar_to(products["one boat"], floor=None)
        others = [name for name in NAMES if name != "one boat"]
        assert names(found) == truth("next", "one boat", others)

    def test_nothing_reads_the_table_of_what_it_replaced(self, products):
        """So that it can be dropped while processes that still declare it go on."""
        with CaptureQueriesContext(connection) as queries:
            assert names(Product.objects.search(ASK, like=products["one boat"], avoid=products["a red car"]))
        read = "".join(query["sql"] for query in queries)
        assert '"tests_product_words2"' in read
        assert '"tests_product_words"' not in read

    def test_what_the_old_one_alone_has_is_not_found(self, products):
        new().vectors.filter(pk=products["one boat"].pk).delete()
        with pytest.raises(NotIndexed, match="in words;"):
            Product.objects.similar_to(products["one boat"])

    def test_a_vector_is_of_its_dimensions(self):
        assert names(Product.objects.search(vector=np.ones(48)))
        with pytest.raises(InvalidVector, match="has 48 dimensions"):
            Product.objects.search(vector=np.ones(32))

    def test_relations_are_those_of_the_declared_fields(self, products):
        new().vectors.filter(pk=products["one boat"].pk).delete()
        assert not Product.objects.filter(words__isnull=True).exists()
        assert names(Product.objects.filter(words2__isnull=True)) == ["one boat"]

    def test_a_search_that_was_built_before_ends_with_what_it_began_with(self):
        switch.serve(new(), instead=False)
        found = ask()
        switch.serve(new(), instead=True)
        assert names(found) == truth("default")

    def test_it_costs_no_statement_more(self, django_assert_num_queries):
        with django_assert_num_queries(2):
            list(ask())


class TestInACoroutine:
    """No database can be asked where the query is built, so what serves is found out where it runs."""

    @staticmethod
    def found(**options):
        async def use():
            return [product.name async for product in Product.objects.search(floor=None, **options)]

        return async_to_sync(use)()

    @pytest.mark.parametrize(("instead", "alias"), [(False, "default"), (True, "next")])
    def test_what_serves_answers(self, products, instead, alias):
        switch.serve(new(), instead=instead)
        assert self.found(text=ASK) == truth(alias)
        vector = embedders[alias].embed_texts([ASK], query=True)[0]
        assert self.found(vector=vector) == truth(alias)

    def test_an_embedder_that_is_away_takes_only_its_own_field_along(self, products, monkeypatch):
        def away(self, texts, *, query):
            if self.dimensions == 48:
                raise EmbedderUnavailable("away")
            return texts_(self, texts, query=query)

        texts_ = DummyEngine.texts
        monkeypatch.setattr(DummyEngine, "texts", away)
        assert self.found(text="a boat never asked for") == truth("default", "a boat never asked for")
        switch.serve(new(), instead=True)
        with pytest.raises(EmbedderUnavailable, match="words"):
            self.found(text="a boat never asked for")


class TestLacks:
    def test_nothing(self, products):
        assert list(switch.lacks(new(), old())) == []

    def test_vectors_of_rows_that_are_there(self, products):
        new().vectors.filter(pk=products["one boat"].pk).delete()
        [reason] = switch.lacks(new(), old())
        assert reason.startswith("1 objects have a vector in words and none in words2. Run manage.py mmsearch_index")
        products["one boat"].delete()
        assert list(switch.lacks(new(), old())) == []

    def test_floors_where_the_library_is_large_enough(self, products, monkeypatch):
        monkeypatch.setattr(floors, "ENOUGH", 3)
        assert "where noise begins" in next(switch.lacks(new(), old()))
        floors.refresh(new())
        assert list(switch.lacks(new(), old())) == []

    def test_an_index_where_it_pays(self, products, monkeypatch):
        monkeypatch.setattr(hnsw, "PAYS", 3)
        assert "no valid HNSW index" in next(switch.lacks(new(), old()))

    def test_an_embedder_that_can_serve(self, products, monkeypatch):
        def fails(self):
            raise EmbedderUnavailable("its weights are gone")

        monkeypatch.setattr(DummyEmbedder, "warm_up", fails)
        assert list(switch.lacks(new(), old())) == ["its weights are gone"]

    def test_vectors_of_its_own_embedder(self, products):
        Space.objects.filter(pk=new().space).update(signature="another")
        assert "were made by another" in next(switch.lacks(new(), old()))


# Processes

SEARCHING = f"""
import sys
{{prologue}}
import django
django.setup()
from tests.models import Product
print("ready", flush=True)
for line in sys.stdin:
    print(*(p.name for p in Product.objects.search({ASK!r}, floor=None)), sep="|", flush=True)
"""
OLD_CODE = """
from django.apps import AppConfig
import_models = AppConfig.import_models

def without_words2(self):
    from mmsearch_django import fields
    generate = fields.generate
    if self.label == "tests":
        fields.generate = lambda model, name, *rest, **more: name == "words2" or generate(model, name, *rest, **more)
    import_models(self)

AppConfig.import_models = without_words2
"""
"""A process of the former deploy: its models do not declare the second field."""


@pytest.fixture
def library(transactional_db):
    Product.objects.bulk_create([Product(name=name) for name in NAMES])
    embed_all(old())
    embed_all(new())


def answer(process):
    process.stdin.write(b"\n")
    process.stdin.flush()
    return process.stdout.readline().decode().strip().split("|")


def test_processes_of_two_deploys_follow_at_once_or_go_on(library):
    """Who knows the replacement asks it from the next search on; who does not goes on with the field that it knows."""
    started = [python("-W", "ignore", "-c", SEARCHING.format(prologue=code)) for code in ("", OLD_CODE)]
    with started[0] as present, started[1] as former:
        assert [process.stdout.readline() for process in (present, former)] == [b"ready\n"] * 2
        for instead, alias in ((False, "default"), (True, "next"), (False, "default")):
            switch.serve(new(), instead=instead)
            assert answer(present) == truth(alias)
            assert answer(former) == truth("default")


def test_no_search_is_wrong_or_fails_while_fields_are_switched(library, other_connection):
    """Whatever is searched at that moment is answered whole by one model or the other."""
    either, stop = (truth("default"), truth("next")), Event()

    def searching():
        seen = []
        while not stop.is_set():
            seen.append(names(ask()))
        return seen

    future = other_connection(searching)
    for turn in range(40):
        switch.serve(new(), instead=turn % 2 == 0)
        assert names(ask()) == either[turn % 2 == 0]
    stop.set()
    seen = future.result(30)
    assert all(found in either for found in seen)
    assert all(one in seen for one in either)
