"""The tables of docs/models.md, made from the cards that embedders declare."""

from collections.abc import Iterator
from importlib import import_module
from inspect import isabstract
from pkgutil import walk_packages

from mmsearch_django import embedders
from mmsearch_django.embedders.base import Embedder
from mmsearch_django.embedders.cards import Card
from mmsearch_django.embedders.hub import is_commercial

COLUMNS = ("Model", "Embeds", "Dimensions", "Licence", "Commercial use", "Weights", "Memory", "Good at", "Tried on")


COMMIT = "0" * 40
"""Stands for the commit of a hub's model that a site pins."""


def backends() -> list[type[Embedder]]:
    """Every embedder of the package, by name."""
    for module in walk_packages(embedders.__path__, f"{embedders.__name__}."):
        import_module(module.name)
    found = [kind for kind in _subclasses(Embedder) if kind.__module__.startswith(f"{embedders.__name__}.")]
    public = (kind for kind in found if not isabstract(kind) and not kind.__name__.startswith("_"))
    return sorted(public, key=lambda kind: kind.__name__)


def _subclasses(kind: type[Embedder]) -> Iterator[type[Embedder]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def configured(backend: type[Embedder], card: Card) -> Embedder:
    """The embedder that a card's settings make; nothing is loaded."""
    settings = card.settings
    model = settings.get("MODEL", "")
    revision = settings.get("REVISION", COMMIT if model else "")
    return backend("default", model=model, revision=revision, options=settings.get("OPTIONS"))


def page() -> str:
    """Markdown: a section for each backend, with a table of its models and the settings that choose them."""
    return "\n".join(section(backend) for backend in backends())


def section(backend: type[Embedder]) -> str:
    path = f"{backend.__module__}.{backend.__qualname__}"
    if backend.runs_any:
        return f"## {backend.__name__}\n\n`{path}`\n\n{backend.runs_any}\n"
    lines = (COLUMNS, ["-"] * len(COLUMNS), *(row(card, configured(backend, card)) for card in backend.cards))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    chosen = "\n".join(f"- {card.name}: {_settings(card)}" for card in backend.cards)
    return f"## {backend.__name__}\n\n`{path}`\n\n{table}\n\nBeside `BACKEND`:\n\n{chosen}\n"


def row(card: Card, embedder: Embedder) -> list[str]:
    longer = f" (or {card.other_dimensions})" if card.other_dimensions else ""
    return [
        card.name,
        " and ".join(sorted(embedder.modalities, reverse=True)),
        f"{embedder.dimensions}{longer}",
        card.licence,
        "yes" if all(map(is_commercial, card.licence.split(", "))) else "no, or ask",
        "not known" if card.megabytes is None else f"{card.megabytes:,} MB",
        card.memory or "not measured",
        card.good_at,
        card.verified.value,
    ]


def _settings(card: Card) -> str:
    named = [f"`{key!r}: {value!r}`" for key, value in card.settings.items()]
    if "MODEL" in card.settings and "REVISION" not in card.settings:
        named.append("`'REVISION'`: the full commit that you download")
    return ", ".join(named) or "nothing is needed"
