"""Findings of ``mmsearch_doctor``: what is well, what is not, and what to do about it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from django.core import checks as django_checks
from django.db import DatabaseError, connections
from django.utils import timezone

from mmsearch_django import checks
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.indexing import hnsw
from mmsearch_django.indexing.status import LATE_SECONDS, Status, claimable, status
from mmsearch_django.indexing.targets import Target
from mmsearch_django.queryset import report, search

WORK = "Start a Celery worker with beat, or run mmsearch_sweep from cron."


@dataclass(frozen=True)
class Finding:
    topic: str
    level: Literal["ok", "note", "problem"]
    text: str
    fix: str = ""


def databases(aliases: Iterable[str]) -> Iterator[Finding]:
    for using in aliases:
        topic = f"database '{using}'"
        try:
            with connections[using].cursor() as cursor:
                cursor.execute("SHOW server_version")
                server = cursor.fetchone()[0]
            pgvector = checks.pgvector_version(using)
        except DatabaseError as error:
            yield Finding(topic, "problem", f"does not answer: {error}".strip(), "See DATABASES and the server's log.")
            continue
        version = ".".join(map(str, pgvector)) if pgvector else "missing"
        yield Finding(topic, "ok" if pgvector else "problem", f"PostgreSQL {server}, pgvector {version}")


def system_checks(aliases: Iterable[str]) -> Iterator[Finding]:
    """Settings, declarations, tables, triggers, dimensions and signatures, as ``check --database`` tests them."""
    messages = [*checks.check_settings(), *checks.check_fields(), *checks.check_databases(databases=list(aliases))]
    for message in messages:
        level: Literal["note", "problem"] = "problem" if message.level >= django_checks.WARNING else "note"
        yield Finding(f"check {message.id}", level, message.msg, message.hint or "")
    if not messages:
        yield Finding("checks", "ok", "settings, declarations, tables, triggers, dimensions and signatures")


def fields(targets: Iterable[Target]) -> Iterator[Finding]:
    for target in targets:
        try:
            found = status(target)
            yield _coverage(target, found)
            yield from _failures(target, found)
            yield from _held(target, found)
            yield _sweep(target, found)
            yield _index(target, found)
        except (DatabaseError, MmsearchError) as error:
            yield Finding(str(target), "problem", str(error).strip())


def _coverage(target: Target, found: Status) -> Finding:
    text = f"{found.ready:,} of {found.total:,} are ready, {found.pending:,} pending{_role(target, found)}"
    wanted = not found.held or claimable(target)
    if found.pending and wanted and not found.per_minute and not found.claimed:
        return Finding(str(target), "problem", f"{text}, and nobody works on them", WORK)
    return Finding(str(target), "ok", text)


def _role(target: Target, found: Status) -> str:
    if target.field.replaces:
        return f"; serves as {found.serves}" if found.serves else f"; to replace {target.field.replaces}"
    return "" if found.serves else "; another field serves in its place"


def _failures(target: Target, found: Status) -> Iterator[Finding]:
    if found.failed:
        reasons = ", ".join(f"{count:,} {name}" for name, count in found.errors.items())
        retry = f"manage.py mmsearch_index {target.field.model._meta.label} --retry-failed"
        yield Finding(str(target), "note", f"failed: {reasons}", f"Mend the files, then {retry}.")


def _held(target: Target, found: Status) -> Iterator[Finding]:
    if found.held:
        asked = f"{target.field.model._meta.label} --field {target.field.name}"
        lanes = "; ".join(f"{name} {words}" for name, words in found.held.items())
        fix = f"manage.py mmsearch_resume {asked}, or mmsearch_throttle {asked} --lane all --rate none --hours none"
        yield Finding(str(target), "note", f"held back: {lanes}", f"If that is no longer wanted: {fix}.")


def _sweep(target: Target, found: Status) -> Finding:
    topic = f"{target} sweep"
    if found.swept_at is None:
        return Finding(topic, "problem", "never ran", WORK)
    minutes, seconds = divmod(int((timezone.now() - found.swept_at).total_seconds()), 60)
    late = minutes * 60 + seconds > LATE_SECONDS
    return Finding(topic, "problem" if late else "ok", f"ran {minutes} min {seconds} s ago", WORK if late else "")


def _index(target: Target, found: Status) -> Finding:
    """Whether an index is there where it pays, and whether a search that may use it does."""
    topic, state = f"{target} index", hnsw.state(target)
    build = f"manage.py mmsearch_index {target.field.model._meta.label}"
    if not hnsw.pays(target):
        return Finding(topic, "ok", f"not needed below {hnsw.PAYS:,} vectors: searches are exact")
    if state != "valid":
        trouble = "missing" if state == "none" else "left invalid by a build that was cut short"
        return Finding(topic, "problem", f"{trouble}: searches are exact and slow", build)
    name = target.field.name
    if not (found.serves or target.field.replaces):
        return Finding(topic, "ok", "valid; no search asks it while another field serves in its place")
    rows = target.field.model._base_manager.using(target.using)
    like = rows.filter(**{f"{name}__isnull": False})[:1].get()
    answer = report(search(rows.all(), like=like, fields=[name], floor=None))
    if answer is None:
        return Finding(topic, "problem", "valid, yet a search by an object of the field says nothing")
    if answer.candidates <= answer.candidates_limit:
        return Finding(topic, "ok", f"valid; searches of up to {answer.candidates_limit:,} rows are exact")
    if answer.legs.get(name) != "ann":
        return Finding(topic, "problem", f"valid, yet a search does not use it ({answer})", "ANALYZE the vector table.")
    return Finding(topic, "ok", f"valid and used: {answer.milliseconds:.0f} ms")


def celery() -> Iterator[Finding]:
    if not find_spec("celery"):
        yield Finding("Celery", "note", "is not installed", "Run mmsearch_sweep from cron.")
        return
    from mmsearch_django import tasks

    if not tasks.configured():
        yield Finding("Celery", "note", "has no broker configured", "Run mmsearch_sweep from cron.")
    elif trouble := tasks.broker_trouble():
        yield Finding("broker", "problem", f"cannot be reached: {trouble}", "Start it; see CELERY_BROKER_URL.")
    else:
        yield Finding("broker", "ok", "answers")
        names = tasks.workers()
        text = f"{', '.join(names)} can index" if names else "none that knows mmsearch_django.tasks answered"
        yield Finding(
            "workers", "ok" if names else "problem", text, "" if names else "Start one: celery worker --beat."
        )


def models(targets: Iterable[Target]) -> Iterator[Finding]:
    """Each embedder that a field names, loaded and self-tested here."""
    for alias in sorted({target.field.alias for target in targets}):
        topic, start = f"embedder '{alias}'", time.perf_counter()
        try:
            embedders[alias].warm_up()
        except MmsearchError as error:
            yield Finding(topic, "problem", str(error))
        else:
            seconds = time.perf_counter() - start
            yield Finding(topic, "ok", f"{embedders[alias].signature} passed its self-test in {seconds:.1f} s")
