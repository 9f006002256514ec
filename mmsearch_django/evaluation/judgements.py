"""Judged queries in the formats of TREC, which the field's tools read and write.

Queries: one a line, ``id<TAB>text``. Qrels: one judgement a line, ``id 0 item grade``; a grade of 0 or less is not
relevant.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mmsearch_django.exceptions import JudgementError

Qrels = dict[str, dict[str, int]]
"""Grades by query and item."""


def read_queries(path: Path) -> dict[str, str]:
    """Texts by query id. Raises JudgementError, which names the line."""
    queries: dict[str, str] = {}
    for place, line in _lines(path):
        query, tab, text = line.partition("\t")
        query, text = query.strip(), text.strip()
        if not (tab and query and text):
            raise JudgementError(f"{place}: expected 'id<TAB>text', found {line!r}.")
        if query in queries:
            raise JudgementError(f"{place}: query {query!r} is there twice.")
        queries[query] = text
    return queries


def read_off_topic(path: Path) -> list[str]:
    """Queries that should find nothing, one a line; an id and a tab may stand before each."""
    return [line.rpartition("\t")[2].strip() for _, line in _lines(path)]


def read_qrels(path: Path) -> Qrels:
    """Grades by query and item. Raises JudgementError, which names the line."""
    qrels: Qrels = {}
    for place, line in _lines(path):
        try:
            query, _, rest = line.split(maxsplit=2)
            item, grade = rest.rsplit(maxsplit=1)  # File names have blanks in them, grades have not.
            number = int(grade)
        except ValueError:
            raise JudgementError(f"{place}: expected 'id 0 item grade', found {line!r}.") from None
        if item in qrels.setdefault(query, {}):
            raise JudgementError(f"{place}: item {item!r} of query {query!r} is judged twice.")
        qrels[query][item] = number
    return qrels


def write_queries(path: Path, queries: Mapping[str, str], *, overwrite: bool = False) -> None:
    """Raises JudgementError if the file is there already, or cannot be written."""
    _write(path, [f"{query}\t{text}\n" for query, text in queries.items()], overwrite=overwrite)


def write_qrels(path: Path, qrels: Qrels, *, overwrite: bool = False) -> None:
    """Raises JudgementError if the file is there already, or cannot be written."""
    lines = [f"{query} 0 {item} {grade}\n" for query, grades in qrels.items() for item, grade in grades.items()]
    _write(path, lines, overwrite=overwrite)


def _write(path: Path, lines: Iterable[str], *, overwrite: bool) -> None:
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    except OSError as error:
        raise JudgementError(f"{path} cannot be written: {error}") from error


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines that are not empty, each with its place."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise JudgementError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line.strip("\r\n")
