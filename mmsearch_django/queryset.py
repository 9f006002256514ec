"""``search()`` on querysets: a mixin for a site's own, a manager and a model as shortcuts, functions for any other."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from django.db import models

from mmsearch_django.exceptions import QueryError
from mmsearch_django.search import hits
from mmsearch_django.search import query as queries
from mmsearch_django.search.report import Report
from mmsearch_django.signals import marked

QS = TypeVar("QS", bound="models.QuerySet[Any]")


def search(
    queryset: QS,
    text: str | None = None,
    *,
    image: Any = None,
    like: Any = None,
    vector: Any = None,
    fields: Iterable[str] | None = None,
    weights: Mapping[str, float] | None = None,
    avoid: Any = None,
    depth: int | None = None,
    floor: str | None = queries.LEARNT,
    min_closeness: float = 0.0,
    keywords: models.Q | None = None,
) -> QS:
    """The rows of the queryset that match best, best first: lazy, chainable, of the same class.

    ``text`` and ``image`` (bytes, an open or uploaded file, a PIL image, an Example, or a list of such) are embedded
    now; ``like`` is an object of the model, or several, by their own vectors, and is not found itself. Given together
    they ask for what is near to all. ``vector`` is a sequence of numbers in the space of the one field named in
    ``fields``. ``fields`` are the embedding fields to ask (default: all for a text, those of pictures for an image),
    ``weights`` their weights in the fusion (default 1). ``avoid`` is what to turn away from: texts, pictures, objects;
    it excludes nothing but the objects themselves. ``depth`` is how
    deep each field ranks (1 to 1,000; default MMSEARCH["DEPTH"]), and so bounds what can be found at all. Each field
    drops what is below its floor, as noise, unless ``floor`` is None; ``min_closeness`` (0 to 1) drops more. Rows that
    ``keywords`` selects come first, however far they are, as a leg of that name.

    Each object has ``score`` (0 to 1: it only orders), ``closeness`` (0 to 1: how near it is in its best field, 0.5 at
    the floor) and ``match`` (per field: rank, cosine similarity, closeness). Filters chained before or
    after restrict what is searched. Raises QueryError for arguments that cannot be answered, EmbedderUnavailable if no
    field's embedder can serve.
    """
    query = queries.build(
        queryset.model,
        text,
        image=image,
        like=like,
        vector=vector,
        fields=fields,
        weights=weights,
        avoid=avoid,
        depth=depth,
        floor=floor,
        min_closeness=min_closeness,
        keywords=keywords,
        using=queryset.db,
    )
    return cast(QS, hits.attach(queryset.exclude(pk__in=query.items) if query.items else queryset, query))


def similar_to(queryset: QS, obj: models.Model, **options: Any) -> QS:
    """The rows nearest to an object by its own vectors, without the object: ``search(like=obj)``.

    Takes the options of ``search``. Raises NotIndexed if the object has no vector.
    """
    return search(queryset, like=obj, **options)


def report(queryset: "models.QuerySet[Any]", rows: Iterable[models.Model] | None = None) -> Report | None:
    """How a searched queryset was answered; None if it is not searched.

    Read from its ``rows`` where some are loaded already (a page of it, say), else asked by one statement.
    """
    return hits.report(queryset, rows)


class SearchQuerySetMixin:
    """Adds ``search()``, ``similar_to()`` and ``report`` to a QuerySet class. Put it first among the bases."""

    def search(self, text: str | None = None, **options: Any) -> Any:
        """See ``mmsearch_django.queryset.search``."""
        return search(cast(Any, self), text, **options)

    def similar_to(self, obj: models.Model, **options: Any) -> Any:
        """See ``mmsearch_django.queryset.similar_to``."""
        return similar_to(cast(Any, self), obj, **options)

    @property
    def report(self) -> Report | None:
        """How the search was answered; None if this queryset is not searched."""
        return hits.report(cast(Any, self))

    def all(self) -> Any:
        """A new queryset, which reads the search anew."""
        clone = super().all()  # type: ignore[misc]
        hits.forget_window(clone)
        return clone

    def count(self) -> int:
        """The size of the window. The pages of this queryset then show the same window."""
        if cast(Any, self)._result_cache is None:
            counted = hits.count_by_window(cast(Any, self))
            if counted is not None:
                return counted
        return cast(int, super().count())  # type: ignore[misc]

    def __and__(self, other: Any) -> Any:
        self._refuse_combining(other)
        return super().__and__(other)  # type: ignore[misc]

    def __or__(self, other: Any) -> Any:
        self._refuse_combining(other)
        return super().__or__(other)  # type: ignore[misc]

    def __xor__(self, other: Any) -> Any:
        self._refuse_combining(other)
        return super().__xor__(other)  # type: ignore[misc]

    def _refuse_combining(self, other: Any) -> None:
        if hits.of(cast(Any, self)) is not None or hits.of(other) is not None:
            raise QueryError("A searched queryset cannot be combined with &, | or ^: chain .filter(Q(...)) instead.")

    # Bulk writes send no signals of Django's.

    def update(self, **values: Any) -> int:
        return cast(int, self._marking(super().update(**values)))  # type: ignore[misc]

    def bulk_create(self, *args: Any, **kwargs: Any) -> Any:
        return self._marking(super().bulk_create(*args, **kwargs))  # type: ignore[misc]

    update.alters_data = True  # type: ignore[attr-defined]
    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def _marking(self, result: Any) -> Any:
        queryset = cast(Any, self)
        marked.send(sender=queryset.model, using=queryset.db)
        return result


class SearchQuerySet(SearchQuerySetMixin, models.QuerySet[Any]):
    """A QuerySet that can be searched."""


class SearchManager(models.Manager.from_queryset(SearchQuerySet)):  # type: ignore[misc]
    """``objects = SearchManager()``. For a queryset of your own: ``Manager.from_queryset(YourQuerySet)``."""


class SearchableModel(models.Model):
    """Abstract base with a searchable default manager."""

    objects = SearchManager()

    class Meta:
        abstract = True
