"""System checks: what is wrong with settings, declarations and databases, and what to do about it.

None of them loads a model or reaches the network. Those that ask a database say nothing where it is down or not yet
migrated, and are errors only where ``migrate`` could not put it right.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connections, models, router

from mmsearch_django import triggers
from mmsearch_django.conf import conf
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import ConfigurationError, SignatureMismatch
from mmsearch_django.fields import MAX_DIMENSIONS, EmbeddingField, all_embedding_fields, embedding_fields
from mmsearch_django.indexing import hnsw
from mmsearch_django.indexing.targets import migrated_dimensions, target
from mmsearch_django.models import Mark, Space, State
from mmsearch_django.search.hits import ANNOTATIONS
from mmsearch_django.triggers import extension

MEANINGS = {
    "mmsearch.E001": ("No embedder is called 'default'.", "Configure MMSEARCH['EMBEDDERS']['default']."),
    "mmsearch.E002": ("A field names an embedder that is not configured.", "Add the alias, or name another."),
    "mmsearch.E003": ("An embedder's settings cannot work.", "Mend MMSEARCH['EMBEDDERS'] as the message says."),
    "mmsearch.E004": ("A source names no field, or one that it cannot read.", "Name columns of the model."),
    "mmsearch.E005": ("The model has a field called score or match.", "Rename it: results carry these names."),
    "mmsearch.E006": ("The embedder cannot embed what the source reads.", "Name an embedder that can."),
    "mmsearch.E007": ("More dimensions than pgvector's HNSW can index.", "Let the embedder truncate its vectors."),
    "mmsearch.E008": (
        "replaces= names no field that can be replaced.",
        "Name another field of the model, that replaces none and that no second one replaces.",
    ),
    "mmsearch.E009": (
        "A field reads something else than the one that it replaces.",
        "Give both the same source: only then can one serve in place of the other.",
    ),
    "mmsearch.E010": ("An embedder's libraries or packaged weights are missing.", "Install them as the hint says."),
    "mmsearch.E020": ("A searchable model lives in a database that is not Postgres.", "Route it to Postgres."),
    "mmsearch.E021": ("The server has no pgvector, or one that is too old.", "Install pgvector 0.8.4 or newer."),
    "mmsearch.E022": (
        "A searchable model is routed to a database that our tables are kept out of.",
        "Let the router migrate mmsearch_django there too.",
    ),
    "mmsearch.E023": (
        "The embedder's dimensions differ from those of the migrated table.",
        "Go back to the old embedder, or run mmsearch_index --reembed, then makemigrations and migrate.",
    ),
    "mmsearch.E024": (
        "The embedder is not the one that made the vectors.",
        "Go back to the old embedder, or run mmsearch_index --reembed.",
    ),
    "mmsearch.E025": (
        "pgvector is in a schema that is not on the role's search_path.",
        "Add it with ALTER ROLE, as the message says.",
    ),
    "mmsearch.I001": ("A model's licence forbids commercial use.", "Silence it where that is settled."),
    "mmsearch.W001": ("MMSEARCH has a key that means nothing.", "Correct its spelling, or remove it."),
    "mmsearch.W010": ("An embedder's files are not on this machine.", "Run mmsearch_download."),
    "mmsearch.W011": ("The environment has no API key for an embedder's server.", "Set the variable."),
    "mmsearch.W020": ("pgvector can damage HNSW indexes (before 0.8.4).", "Upgrade it and rebuild the indexes."),
    "mmsearch.W021": ("Our tables are missing.", "Run migrate."),
    "mmsearch.W022": ("Triggers are not as declared: writes wait for the sweep.", "Run mmsearch_triggers."),
    "mmsearch.W023": ("A large field has no HNSW index: searches are exact and slow.", "Run mmsearch_index."),
    "mmsearch.W024": (
        "The migrated table, still empty, takes other dimensions than the embedder makes.",
        "Run makemigrations and migrate.",
    ),
    "mmsearch.W025": (
        "Vectors were made by a former preprocessing version of their embedder.",
        "They are searched as before; run mmsearch_index --stale when it suits.",
    ),
}
"""Every id, what it means and what to do; the documentation is made from this table."""
LACKING = ("mmsearch.E010", "mmsearch.W010")
"""What a machine lacks to run a model."""


def message(id: str, text: str, obj: Any = None, hint: str | None = None) -> CheckMessage:
    kind = Error if id.startswith("mmsearch.E") else Warning
    return kind(text, hint=hint or MEANINGS[id][1], obj=obj, id=id)


# Settings and declarations


@register(Tags.models)
def check_settings(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Settings, and each embedder as far as can be told without loading it."""
    found = [message("mmsearch.W001", f"MMSEARCH has an unknown key {key!r}.") for key in conf.unknown_keys()]
    if "default" not in conf.EMBEDDERS:
        found.append(message("mmsearch.E001", "MMSEARCH['EMBEDDERS'] has no 'default'."))
    for alias in conf.EMBEDDERS:
        try:
            found += [each for each in embedders[alias].check() if not (each.id in LACKING and _is_behind(alias))]
        except ConfigurationError as error:
            found.append(message("mmsearch.E003", str(error)))
    return found


def _is_behind(alias: str) -> bool:
    """Whether this process asks a server or a worker for it: only there its files and libraries must be."""
    return any(config.get("OPTIONS", {}).get("behind") == alias for config in conf.EMBEDDERS.values())


@register(Tags.models)
def check_fields(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Each embedding field against its model and its embedder."""
    return [found for field in all_embedding_fields() for found in _check_field(field)]


def _check_field(field: EmbeddingField) -> Iterator[CheckMessage]:
    try:
        field.source.columns(field.model)
        field.source.paths(field.model)
    except ConfigurationError as error:
        yield message("mmsearch.E004", f"{field.label}: {error}", field.model)
    taken = {column.name for column in field.model._meta.get_fields()} & set(ANNOTATIONS)
    if taken:
        names = " and ".join(sorted(taken))
        yield message("mmsearch.E005", f"{field.model._meta.label} has a field called {names}.", field.model)
    yield from _check_replaces(field)
    if field.alias not in conf.EMBEDDERS:
        yield message("mmsearch.E002", f"{field.label} names the unknown embedder {field.alias!r}.", field.model)
        return
    try:
        yield from _check_embedder(field)
    except ConfigurationError:
        return  # E003 says it.


def _check_replaces(field: EmbeddingField) -> Iterator[CheckMessage]:
    if field.replaces is None:
        return
    mine = {name: other for name, other in embedding_fields(field.model).items() if other.model is field.model}
    replaced = mine.get(field.replaces)
    others = [name for name, other in mine.items() if other.replaces == field.replaces and name != field.name]
    trouble = ""
    if replaced is None:
        names = ", ".join(name for name in mine if name != field.name) or "no other"
        trouble = f"which {field.model._meta.label} does not declare; it has {names}"
    elif replaced is field:
        trouble = "itself"
    elif replaced.replaces is not None:
        trouble = f"which itself replaces {replaced.replaces!r}"
    elif others:
        trouble = f"and so does {' and '.join(map(repr, others))}"
    if trouble:
        yield message("mmsearch.E008", f"{field.label} replaces {field.replaces!r}, {trouble}.", field.model)
    elif replaced is not None and replaced.source != field.source:
        text = f"{field.label} reads {field.source!r}, but {replaced.name!r}, which it replaces, {replaced.source!r}."
        yield message("mmsearch.E009", text, field.model)


def _check_embedder(field: EmbeddingField) -> Iterator[CheckMessage]:
    embedder = field.embedder
    if field.source.modality not in embedder.modalities:
        text = f"{field.label}: embedder {field.alias!r} cannot embed {field.source.modality}."
        yield message("mmsearch.E006", text, field.model)
    if embedder.dimensions > MAX_DIMENSIONS:
        text = f"{field.label}: embedder {field.alias!r} has {embedder.dimensions} dimensions; {MAX_DIMENSIONS} fit."
        yield message("mmsearch.E007", text, field.model)


# Databases


@register(Tags.database)
def check_databases(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """What only the database knows."""
    found: list[CheckMessage] = []
    for using in databases or ():
        fields = [field for field in all_embedding_fields() if router.allow_migrate_model(using, field.vectors)]
        if fields:
            found += _check_database(using, fields)
    return found


def _check_database(using: str, fields: list[EmbeddingField]) -> list[CheckMessage]:
    connection = connections[using]
    if connection.vendor != "postgresql":
        labels = ", ".join(sorted({field.model._meta.label for field in fields}))
        return [message("mmsearch.E020", f"{labels} cannot be searched in '{using}', which is {connection.vendor}.")]
    if not router.allow_migrate_model(using, Mark):
        return [message("mmsearch.E022", f"The router keeps mmsearch_django out of '{using}', where vectors are.")]
    try:
        return [*_check_pgvector(using), *_check_tables(using, fields)]
    except DatabaseError:
        return []  # Down, or in the middle of something: migrate and the site will say so better.


def _check_pgvector(using: str) -> Iterator[CheckMessage]:
    version = pgvector_version(using)
    if version is None:
        yield message("mmsearch.E021", f"The server of '{using}' has no pgvector.")
    elif version < (0, 8):
        yield message("mmsearch.E021", f"pgvector of '{using}' is {_dotted(version)}; 0.8 is needed.")
    elif version < (0, 8, 4):
        yield message("mmsearch.W020", f"pgvector of '{using}' is {_dotted(version)}, older than 0.8.4.")
    there = extension.find(using)
    if there is not None and not there.on_path:
        yield message("mmsearch.E025", there.out_of_sight, hint=there.remedy)


def pgvector_version(using: str) -> tuple[int, ...] | None:
    """The installed version, or the one that migrate would install; None if the server has none."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(installed_version, default_version) FROM pg_available_extensions WHERE name = 'vector'"
        )
        row = cursor.fetchone()
    return tuple(int(part) for part in row[0].split(".") if part.isdigit()) if row else None


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def _check_tables(using: str, fields: list[EmbeddingField]) -> Iterator[CheckMessage]:
    tables = set(connections[using].introspection.table_names())
    migrated = [field for field in fields if field.vectors._meta.db_table in tables]
    if not migrated:
        return
    if not {model._meta.db_table for model in (Mark, State, Space)} <= tables:
        yield message("mmsearch.W021", f"'{using}' has vector tables but not the tables of mmsearch_django.")
        return
    for problem in triggers.problems(using):
        yield message("mmsearch.W022", f"'{using}': {problem}", hint=f"Run mmsearch_triggers --database {using}.")
    for field in migrated:
        yield from _check_vectors(using, field)


def _check_vectors(using: str, field: EmbeddingField) -> Iterator[CheckMessage]:
    if field.dimensions is None:
        return  # E002 or E003 says it.
    dimensions = migrated_dimensions(field, using)
    if dimensions != field.dimensions:
        text = f"{field.label} has {dimensions} dimensions in '{using}'; {field.alias!r} makes {field.dimensions}."
        filled = field.vectors._base_manager.using(using).exists()
        yield message("mmsearch.E023" if filled else "mmsearch.W024", text, field.model)
    size, indexed = _facts(using, field.vectors)
    if size >= hnsw.PAYS and not indexed:
        yield message("mmsearch.W023", f"{field.label} has about {size:,} vectors in '{using}' and no HNSW index.")
    try:
        space = target(field, using)
    except ConfigurationError:
        return  # W022 says that mmsearch_triggers has something to mend.
    try:
        field.require_signature(space.signature, using)
    except SignatureMismatch as error:
        yield message("mmsearch.E024", str(error), field.model)
    if space.stale.exists():
        text = f"{field.label} in '{using}' has vectors of another preprocessing version than {field.alias!r} is at."
        yield message("mmsearch.W025", text, field.model)


def _facts(using: str, vectors: type[models.Model]) -> tuple[int, bool]:
    """About how many rows the vector table has, and whether a valid HNSW index is there."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT c.reltuples::bigint, EXISTS (SELECT FROM pg_index i JOIN pg_class h ON h.oid ="
            " i.indexrelid JOIN pg_am m ON m.oid = h.relam WHERE i.indrelid = c.oid AND i.indisvalid"
            " AND m.amname = 'hnsw') FROM pg_class c WHERE c.oid = to_regclass(%s)",
            [connections[using].ops.quote_name(vectors._meta.db_table)],
        )
        size, indexed = cursor.fetchone()
    return size, indexed
