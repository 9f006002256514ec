"""Ask a model's search every judged query, and measure what comes back."""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models

from mmsearch_django.evaluation.judgements import Qrels
from mmsearch_django.evaluation.metrics import Ranking, Scores, means, score
from mmsearch_django.exceptions import JudgementError
from mmsearch_django.queryset import search


@dataclass(frozen=True)
class Evaluation:
    figures: dict[str, float]
    """Means over the judged queries, by the names of ``metrics.MEASURES``."""
    scores: Scores
    """What they are means of."""
    queries: int
    """Queries with a judgement; the others were not asked."""
    judged_items: int
    """Items with a grade above 0 for any of them."""
    missing_items: tuple[str, ...]
    """Those that the queryset does not hold: nothing could find them, and they count against recall."""


class Evaluator:
    """Judges searches over one queryset.

    Items are the values of ``item_field``; of a file field the base name. If several rows share an item, the best of
    them counts. Raises JudgementError if no query is judged, the field does not exist or holds none of the items.
    """

    def __init__(
        self, queryset: "models.QuerySet[Any]", queries: Mapping[str, str], qrels: Qrels, item_field: str
    ) -> None:
        self.queryset = queryset
        relevant = {query for query, grades in qrels.items() if any(grade > 0 for grade in grades.values())}
        self.queries = {query: text for query, text in queries.items() if query in relevant}
        if not self.queries:
            raise JudgementError("No query has a relevant item: do the ids of queries and qrels agree?")
        self.qrels = {query: qrels[query] for query in self.queries}
        self.item_field = item_field
        self.item = item_reader(queryset.model, item_field)

    def __len__(self) -> int:
        return len(self.queries)

    def rankings(self, **options: Any) -> Iterator[tuple[str, Ranking]]:
        """Ask each query with these options of ``search()``; yields its id and the items found, best first."""
        for query, text in self.queries.items():
            found = search(self.queryset, text, **options).values_list(self.item_field, flat=True)
            yield query, list(dict.fromkeys(self.item(value) for value in found))

    def empty(self, texts: Iterable[str], **options: Any) -> int:
        """How many of these queries find nothing."""
        return sum(not search(self.queryset, text, **options)[:1].exists() for text in texts)

    def measure(self, rankings: Iterable[tuple[str, Ranking]]) -> Evaluation:
        relevant = {item for grades in self.qrels.values() for item, grade in grades.items() if grade > 0}
        held = {self.item(value) for value in self.queryset.order_by().values_list(self.item_field, flat=True)}
        if not relevant & held:
            raise JudgementError(
                f"None of the {len(relevant)} relevant items is the {self.item_field} of a row; rows have "
                f"{', '.join(sorted(held)[:3]) or 'nothing'}."
            )
        scores = score(self.qrels, dict(rankings))
        return Evaluation(
            figures=means(scores),
            scores=scores,
            queries=len(self.queries),
            judged_items=len(relevant),
            missing_items=tuple(sorted(relevant - held)),
        )


def item_reader(model: type[models.Model], name: str) -> Callable[[Any], str]:
    """What qrels call an item, from the value of the field. Raises JudgementError if there is no such field."""
    try:
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        names = ", ".join(field.name for field in model._meta.concrete_fields)
        raise JudgementError(f"{model._meta.label} has no field {name!r} to match items by; it has {names}.") from None
    return _base_name if isinstance(field, models.FileField) else str


def _base_name(value: Any) -> str:
    return posixpath.basename(str(value))
