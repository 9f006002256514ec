"""Embedding fields: declared on a site's model, each with a generated vector table of its own."""

import copy
import sys
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, ClassVar

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, models
from django.db.backends.utils import truncate_name
from django.db.models.functions import Now
from django.db.models.signals import class_prepared
from django.utils import timezone
from pgvector.django import HalfVectorField

from mmsearch_django.embedders.base import Embedder
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import ConfigurationError, SignatureMismatch
from mmsearch_django.sources import Source

IDENTIFIER_BYTES = 63
INDEX_NAME = 30
"""Characters that Django allows an index."""
MAX_DIMENSIONS = 4000
"""What pgvector's HNSW can index as halfvec."""


class Vector(models.Model):
    """Base of the generated tables: one row for each object that has a vector.

    There is no foreign key in the database and nothing cascades, so deleting an asset neither waits for us nor asks
    for our permissions; its vector goes when the delete's mark is drained.
    """

    embedding_field: ClassVar["EmbeddingField"]

    # Everything but object and vector may be left out, so that vectors made elsewhere can be loaded by plain SQL.
    signature = models.CharField(max_length=16, default="", db_default="", editable=False)
    preprocessing = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    digest = models.BinaryField(max_length=32, null=True)
    embedded_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)

    class Meta:
        abstract = True


class EmbeddingField:
    """Declares that a part of each instance is embedded and searched.

    No database field: like ``ManyToManyField`` it generates a table. On ``Asset.visual`` stands the reverse one-to-one
    accessor to ``AssetVisual``, so ``Asset.objects.filter(visual__isnull=True)`` are those without a vector.

    With ``replaces`` it is filled like any field and asked only where it is named, until ``mmsearch_switch`` lets it
    serve in place of the field of that name.
    """

    name: str
    model: type[models.Model]
    vectors: type[Vector]
    """The generated model."""

    def __init__(self, source: Source, embedder: str = "default", replaces: str | None = None) -> None:
        if not isinstance(source, Source):
            raise ConfigurationError(f"EmbeddingField takes a source such as ImageSource('file'), not {source!r}.")
        self.source = source
        self.alias = embedder
        self.replaces = replaces

    def __repr__(self) -> str:
        return f"<EmbeddingField {self.label}: {self.source!r} by {self.alias!r}>"

    @property
    def label(self) -> str:
        """``app.Model.field``."""
        return f"{self.model._meta.label}.{self.name}"

    @property
    def embedder(self) -> Embedder:
        return embedders[self.alias]

    @property
    def dimensions(self) -> int | None:
        """From the embedder's declaration; None if there is no such embedder, which a check reports."""
        try:
            return self.embedder.dimensions
        except ConfigurationError:
            return None

    @property
    def space_id(self) -> int:
        """The id that its space is born with: the same in every database, so triggers need not ask."""
        label = f"{self.model._meta.label_lower}.{self.name}"
        return int.from_bytes(sha256(label.encode()).digest()[:4], "big") >> 1

    def require_signature(self, recorded: str, using: str | None = None) -> None:
        """Raises SignatureMismatch if the space's vectors were made by another signature than the embedder's.

        An empty one is that of a space in which nothing was embedded yet.
        """
        configured = str(self.embedder.signature)
        if recorded in ("", configured):
            return
        database = "" if using in (None, DEFAULT_DB_ALIAS) else f" --database {using}"
        raise SignatureMismatch(
            f"The vectors of {self.label} were made by {recorded}, but embedder {self.alias!r} is {configured}; they "
            f"cannot be compared. Set the embedder back, or give up what is there and embed all anew: "
            f"manage.py mmsearch_index {self.model._meta.label} --field {self.name} --reembed{database}"
        )

    def contribute_to_class(self, cls: type[models.Model], name: str) -> None:
        """Called by Django's metaclass; the table is generated once the class is complete."""
        declare(cls, name, self)


def declare(model: type[models.Model], name: str, field: EmbeddingField) -> None:
    """Remember a declaration on the class itself, where subclasses find it."""
    if "_embedding_declarations" not in vars(model):
        model._embedding_declarations = {}  # type: ignore[attr-defined]
    model._embedding_declarations[name] = field  # type: ignore[attr-defined]


def declarations(model: type[models.Model]) -> dict[str, EmbeddingField]:
    """What a concrete model must generate: its own declarations and those of its abstract bases.

    A subclass may set an inherited name to None, as with Django's fields. What a concrete parent declares is the
    parent's: a multi-table child is searched by its parent's vectors.
    """
    found: dict[str, EmbeddingField] = {}
    concrete_parents = set(model._meta.all_parents)
    for base in reversed(model.__mro__):
        if base in concrete_parents or any(issubclass(parent, base) for parent in concrete_parents):
            continue
        found.update(vars(base).get("_embedding_declarations", {}))
        for name in [name for name in found if vars(base).get(name, name) is None]:
            del found[name]
    return found


def generate(model: type[models.Model], name: str, field: EmbeddingField, *, app_label: str, module: str) -> None:
    """Make the vector table's model for ``model.name`` in the given app."""
    field = copy.copy(field)
    field.name, field.model = name, model
    table = truncate_name(f"{model._meta.db_table.strip(chr(34))}_{name}", IDENTIFIER_BYTES)
    options = {
        "app_label": app_label,
        "apps": model._meta.apps,
        "db_table": table,
        "default_permissions": (),
        # By it a content that is there under another key is found, and not embedded twice.
        "indexes": [models.Index(fields=["digest"], name=_index_name(table))],
        "verbose_name": f"{model._meta.verbose_name} {name} vector",
        "verbose_name_plural": f"{model._meta.verbose_name} {name} vectors",
    }
    attributes = {
        "__module__": module,
        "__qualname__": vector_model_name(model, name),
        "__doc__": f"Vectors of {field.label}.",
        "__str__": lambda self: f"{field.label} of {self.pk}",
        "Meta": type("Meta", (), options),
        "object": models.OneToOneField(
            model, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name=name
        ),
        "vector": HalfVectorField(dimensions=field.dimensions),
    }
    field.vectors = type(vector_model_name(model, name), (Vector,), attributes)
    field.vectors.embedding_field = field
    # Importable where it says it lives: `shell` and pickle look there.
    if module in sys.modules:
        setattr(sys.modules[module], field.vectors.__name__, field.vectors)


def _index_name(table: str) -> str:
    return truncate_name(f"{table.rpartition(chr(34))[2]}_digest", INDEX_NAME)


def vector_model_name(model: type[models.Model], name: str) -> str:
    return model.__name__ + "".join(part.title() for part in name.split("_"))


def _generate_declared(*, sender: type[models.Model], **kwargs: Any) -> None:
    meta = sender._meta
    # Migrations build historical models; their tables come from the migrations themselves.
    if meta.abstract or meta.proxy or meta.swapped or sender.__module__ == "__fake__" or issubclass(sender, Vector):
        return
    for name, field in declarations(sender).items():
        generate(sender, name, field, app_label=meta.app_label, module=sender.__module__)


class_prepared.connect(_generate_declared)


def searchable(model: type[models.Model] | str, *, app: str, **fields: EmbeddingField) -> None:
    """Add embedding fields to a model that cannot be changed; call it in the ``models`` module of ``app``.

    The vector tables belong to ``app`` and are written by its migrations; the model's own app stays as it is.
    """
    if not fields:
        raise ConfigurationError("searchable() takes at least one embedding field, as in look=EmbeddingField(...).")
    module = f"{apps.get_app_config(app).name}.models"

    def ready(target: type[models.Model]) -> None:
        for name, field in fields.items():
            generate(target, name, field, app_label=app, module=module)

    apps.lazy_model_operation(ready, _model_key(model))


def _model_key(model: type[models.Model] | str) -> tuple[str, str]:
    label = model if isinstance(model, str) else model._meta.label
    app_label, _, name = label.partition(".")
    return app_label, name.lower()


def embedding_fields(model: type[models.Model]) -> dict[str, EmbeddingField]:
    """The embedding fields by which a model is searched: its own, its concrete parents', its proxied model's."""
    vectors = (relation.related_model for relation in model._meta.related_objects)
    return {v.embedding_field.name: v.embedding_field for v in vectors if isinstance(v, type) and issubclass(v, Vector)}


def searched_fields(model: type[models.Model]) -> dict[str, EmbeddingField]:
    """Those of them that searches ask unless told otherwise: replacements are no legs of their own."""
    return {name: field for name, field in embedding_fields(model).items() if not field.replaces}


def replacement(field: EmbeddingField) -> EmbeddingField | None:
    """The field that is declared to replace this one."""
    fields = embedding_fields(field.model).values()
    return next((other for other in fields if other.replaces == field.name), None)


def all_embedding_fields() -> Iterator[EmbeddingField]:
    """Every embedding field of the project, asked from Django's registry."""
    for model in apps.get_models():
        if issubclass(model, Vector):
            yield model.embedding_field
