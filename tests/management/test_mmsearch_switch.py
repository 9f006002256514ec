import json

import pytest
from django.core.management import CommandError, call_command

from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space
from tests.indexing.conftest import embed_all
from tests.models import Product

pytestmark = pytest.mark.django_db


@pytest.fixture
def words2():
    Product.objects.bulk_create([Product(name=name) for name in ("a car", "a boat")])
    words, words2 = (target(field) for field in embedding_fields(Product).values())
    embed_all(words)
    embed_all(words2)
    return words2


def switch(*arguments, label="tests.Product", field="words"):
    call_command("mmsearch_switch", label, field, *arguments)


def serves(words2):
    return Space.objects.get(pk=words2.space).serves


@pytest.mark.parametrize("back", [["--back"], ["--to", "words"]])
def test_there_and_back(words2, capsys, back):
    switch()
    assert serves(words2)
    out = capsys.readouterr().out
    assert out.startswith("tests.Product.words: words2 serves from now on, words did before.")
    assert "manage.py mmsearch_switch tests.Product words --to words" in out
    switch(*back)
    assert not serves(words2)
    assert "words serves from now on" in capsys.readouterr().out


def test_twice_is_once(words2, capsys):
    switch("--to", "words2")
    switch()
    assert "words2 serves already." in capsys.readouterr().out
    assert serves(words2)


def test_refused_until_it_is_complete(words2, capsys):
    words2.vectors.first().delete()
    with pytest.raises(CommandError, match="words goes on serving, since\\n  1 objects .* --field words2\\n--force"):
        switch()
    assert not serves(words2)
    switch("--force")
    assert serves(words2)
    assert "1 objects have a vector in words and none in words2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": "tests.Asset"}, "No field is declared to replace tests.Asset.words"),
        ({"field": "words2"}, "No field is declared to replace tests.Product.words2"),
        ({"field": "nope"}, "embedding field 'nope'"),
    ],
)
def test_there_must_be_two(arguments, message):
    with pytest.raises(CommandError, match=message):
        switch(**arguments)


def test_to_is_one_of_the_two(words2):
    with pytest.raises(CommandError, match="served by itself or by words2, not by 'look'"):
        switch("--to", "look")


@pytest.mark.parametrize(
    ("arguments", "serving", "roles"),
    [
        ([], "words; words2 is declared to replace it", ["words", ""]),
        (["--to", "words2"], "words2, in place of words", ["", "words"]),
    ],
)
def test_status_and_doctor_say_which_serves(words2, capsys, arguments, serving, roles):
    if arguments:
        switch(*arguments)
    capsys.readouterr()
    call_command("mmsearch_status", "tests.Product")
    assert f"Serving:\n  tests.Product.words: {serving}\n" in capsys.readouterr().out
    call_command("mmsearch_status", "tests.Product", format="json")
    assert [row["serves"] for row in json.loads(capsys.readouterr().out)] == roles
    with pytest.raises(CommandError):  # The sweep never ran.
        call_command("mmsearch_doctor", "--no-embedders")
    out = capsys.readouterr().out
    assert ("; serves as words." if arguments else "; to replace words.") in out
    assert ("another field serves in its place." in out) == bool(arguments)
