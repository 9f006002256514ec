"""Embedders by alias, as Django reaches caches: ``embedders["default"]``."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.module_loading import import_string

from mmsearch_django.conf import conf
from mmsearch_django.embedders.base import Embedder
from mmsearch_django.exceptions import ConfigurationError


class Embedders(Mapping[str, Embedder]):
    """The configured embedders. Constructing one is cheap; it is made anew only when its settings changed."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[dict[str, Any], Embedder]] = {}

    def __getitem__(self, alias: str) -> Embedder:
        if alias not in conf.EMBEDDERS:
            known = ", ".join(map(repr, conf.EMBEDDERS)) or "none"
            raise ConfigurationError(
                f"There is no embedder {alias!r}. Add it to MMSEARCH['EMBEDDERS'] (configured: {known})."
            )
        config = conf.EMBEDDERS[alias]
        made = self._made.get(alias)
        if made is None or made[0] != config:
            made = self._made[alias] = (dict(config), make(alias, config))
        return made[1]

    def __iter__(self) -> Iterator[str]:
        return iter(conf.EMBEDDERS)

    def __len__(self) -> int:
        return len(conf.EMBEDDERS)


def make(alias: str, config: Mapping[str, Any]) -> Embedder:
    """The embedder of a configuration as it stands in the settings. Raises ConfigurationError."""
    try:
        backend = import_string(config["BACKEND"])
    except (KeyError, ImportError) as error:
        raise ConfigurationError(
            f"MMSEARCH['EMBEDDERS'][{alias!r}]['BACKEND'] must be the dotted path of an embedder class: {error}"
        ) from error
    embedder: Embedder = backend(
        alias,
        model=config.get("MODEL", ""),
        revision=config.get("REVISION", ""),
        options=config.get("OPTIONS"),
    )
    return embedder


embedders = Embedders()
