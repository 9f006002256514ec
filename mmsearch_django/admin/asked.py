"""What the address of a change list asks to look for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.views.main import ORDER_VAR, SEARCH_VAR
from django.db import models
from django.http import QueryDict
from django.utils.translation import gettext as _

from mmsearch_django.admin.errors import in_words
from mmsearch_django.conf import conf
from mmsearch_django.exceptions import QueryError
from mmsearch_django.models import Example
from mmsearch_django.search import examples
from mmsearch_django.search.query import MAX_DEPTH
from mmsearch_django.search.terms import MAX_TERMS

EXAMPLE_VAR = "example"
AVOID_EXAMPLE_VAR = "avoid_example"
LIKE_VAR = "like"
UNLIKE_VAR = "unlike"
MEANING_VAR = "meaning"
NEAREST_VAR = "nearest"
DEPTH_VAR = "depth"
PICTURE_VARS = (EXAMPLE_VAR, AVOID_EXAMPLE_VAR)
AWAY_VARS = (AVOID_EXAMPLE_VAR, UNLIKE_VAR)
TERM_VARS = (*PICTURE_VARS, LIKE_VAR, UNLIKE_VAR)
"""Each may be there several times."""
OUR_VARS = (*TERM_VARS, MEANING_VAR, NEAREST_VAR, DEPTH_VAR)


@dataclass
class Asked:
    """The terms of an address, by the values that stand for them there, and how to search."""

    text: str = ""
    terms: dict[str, dict[str, Example | models.Model]] = field(default_factory=lambda: {var: {} for var in TERM_VARS})
    by_meaning: bool = True
    floor: bool = True
    depth: int = 0
    errors: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.terms[EXAMPLE_VAR] or self.terms[LIKE_VAR] or (self.text and self.by_meaning))

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of ``search()``."""
        terms = {name: list(values.values()) for name, values in self.terms.items()}
        return {
            "text": (self.by_meaning and self.text) or None,
            "image": terms[EXAMPLE_VAR],
            "like": terms[LIKE_VAR],
            "avoid": [*terms[AVOID_EXAMPLE_VAR], *terms[UNLIKE_VAR]],
            "depth": self.depth,
            **({} if self.floor else {"floor": None}),
        }


def read(query: QueryDict, get_object: Callable[[str], models.Model | None]) -> Asked:
    """What is asked; what is wrong with it is among its errors. ``get_object`` knows who may see what."""
    asked = Asked(
        text=query.get(SEARCH_VAR, "").strip().replace("\0", ""),
        by_meaning=query.get(MEANING_VAR) != "off",
        floor=query.get(NEAREST_VAR) != "1",
        depth=_depth(query.get(DEPTH_VAR)),
    )
    for name in TERM_VARS:
        for value in dict.fromkeys(query.getlist(name)[:MAX_TERMS]):
            try:
                asked.terms[name][value] = examples.find(value) if name in PICTURE_VARS else _seen(value, get_object)
            except QueryError as error:
                asked.errors.append(in_words(error))
    return asked


def _seen(key: str, get_object: Callable[[str], models.Model | None]) -> models.Model:
    obj = get_object(key)
    if obj is None:
        raise QueryError(_("What to find more of does not exist, or is not for you to see."))
    return obj


def _depth(value: str | None) -> int:
    depth = int(value) if value and value.isdecimal() and len(value) < 6 else 0
    return min(depth, MAX_DEPTH) or conf.DEPTH


def with_picture(query: QueryDict, model: type[models.Model], post: QueryDict, upload: Any) -> QueryDict:
    """The address that a posted picture leads to: by it alone, by it too (``plus``), away from it (``minus``).

    ``part_of`` posts no picture but shares of one that is asked by, in per cent, which then stand in its place. Raises
    MmsearchError.
    """
    found = query.copy()
    if key := post.get("part_of"):
        part = examples.key_of(examples.keep(model, examples.find(key), _box(post)))
        for name in PICTURE_VARS:
            found.setlist(name, [part if kept == key else kept for kept in found.getlist(name)])
        return found
    key = examples.key_of(examples.keep(model, upload))
    role = post.get("as")
    if role not in ("plus", "minus"):
        for name in (SEARCH_VAR, ORDER_VAR, *OUR_VARS):
            found.pop(name, None)
    found.appendlist(AVOID_EXAMPLE_VAR if role == "minus" else EXAMPLE_VAR, key)
    return found


def _box(post: QueryDict) -> examples.Box:
    try:
        left, top, right, bottom = (float(str(post[side])) / 100 for side in ("left", "top", "right", "bottom"))
    except (KeyError, ValueError):
        raise QueryError("A part of a picture has four sides, in per cent.", "crop") from None
    return left, top, right, bottom
