"""What people say of the rows that a text found, relevant or not: kept, and exported as queries and qrels.

Only texts are judged: a query of TREC is a text, so what a picture found could not be exported.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F

from mmsearch_django.evaluation.evaluator import item_reader
from mmsearch_django.evaluation.judgements import Qrels
from mmsearch_django.exceptions import JudgementError
from mmsearch_django.models import Judgement
from mmsearch_django.search import terms

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    User = AbstractBaseUser | AnonymousUser

SHOWN = 3
"""How many items a message names."""


def judge(obj: models.Model, text: str, *, relevant: bool, user: "User") -> str:
    """Keep whether ``user`` finds ``obj`` relevant to ``text``, in place of what they said before.

    Whether they may see the object is for the caller to check. Returns the text as searches normalise it. Raises
    EmptyQuery for a blank text, JudgementError if the user is nobody.
    """
    row = Judgement(**_said(type(obj), text, user), object_id=str(obj.pk), grade=int(relevant))
    Judgement.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["model", "digest", "object_id", "judge"],
        update_fields=["grade", "judged_at"],
    )
    return row.text


def withdraw(obj: models.Model, text: str, *, user: "User") -> str:
    """Forget what ``user`` said of ``obj`` and ``text``, if anything. Returns and raises what ``judge`` does."""
    said = _said(type(obj), text, user)
    Judgement.objects.filter(**said, object_id=str(obj.pk)).delete()
    return str(said["text"])


def grades(model: type[models.Model], text: str, keys: Iterable[Any], *, user: "User") -> dict[str, int]:
    """What ``user`` said of these objects and ``text``, by object id. Raises what ``judge`` does."""
    rows = Judgement.objects.filter(**_said(model, text, user), object_id__in=[str(key) for key in keys])
    return dict(rows.values_list("object_id", "grade"))


@dataclass(frozen=True)
class Export:
    queries: dict[str, str]
    """Texts by query id: numbers, in the order in which they were first judged."""
    qrels: Qrels
    """One grade for each query and item: that of most judges; where they are even, relevant."""
    gone: int
    """Judgements left out because the queryset does not hold their object, or not any more."""


def export(queryset: "models.QuerySet[Any]", item_field: str) -> Export:
    """All judgements of the queryset's rows, with items called as ``Evaluator`` calls them.

    Raises JudgementError if there are none, if several rows share a judged item, or if qrels cannot hold its name.
    """
    reader = item_reader(queryset.model, item_field)
    # As an expression: Django 5.2.0 gives one value instead of two where the item is the key itself.
    values = queryset.order_by().values_list("pk", F(item_field)).iterator()
    items = {str(key): "" if value is None else reader(value) for key, value in values}
    queries: dict[str, str] = {}
    qrels: Qrels = {}
    gone = 0
    for text, key, judges, relevant in _counted(queryset.model):
        if key not in items:
            gone += judges
            continue
        query = queries.setdefault(text, str(len(queries) + 1))
        qrels.setdefault(query, {})[items[key]] = int(2 * relevant >= judges)
    if not queries:
        raise JudgementError(f"No row of {queryset.model._meta.label} has been judged, or none that is still there.")
    _refuse_unclear({item for graded in qrels.values() for item in graded}, items, item_field)
    return Export({query: text for text, query in queries.items()}, qrels, gone)


def _counted(model: type[models.Model]) -> Iterable[tuple[str, str, int, int]]:
    """Text, object id, how many judged it, and how many of them found it relevant."""
    rows = Judgement.objects.filter(model=_label(model)).values_list("text", "object_id")
    counted = rows.annotate(judges=models.Count("pk"), relevant=models.Sum("grade"))
    return counted.alias(first=models.Min("pk")).order_by("first")


def _refuse_unclear(judged: set[str], items: dict[str, str], item_field: str) -> None:
    """Rows that share a name would be graded as one, and a line of qrels holds no name with blanks around it."""
    rows = Counter(items.values())
    unclear = sorted(item for item in judged if rows[item] > 1 or item != item.strip() or "\n" in item or not item)
    if unclear:
        names = ", ".join(map(repr, unclear[:SHOWN])) + (", ..." if len(unclear) > SHOWN else "")
        raise JudgementError(
            f"Judged items cannot be told by their {item_field} if two rows have it, if it is empty, begins or ends "
            f"with a blank or breaks the line: {names}. Take another field; pk always works."
        )


def _said(model: type[models.Model], text: str, user: "User") -> dict[str, Any]:
    """What a person's judgements of one text have in common."""
    if user.pk is None:
        raise JudgementError("Only a user who is logged in can judge.")
    term = terms.text(text)
    return {"model": _label(model), "text": term.value, "digest": term.digest, "judge_id": user.pk}


def _label(model: type[models.Model]) -> str:
    return (model._meta.concrete_model or model)._meta.label_lower
