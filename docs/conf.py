"""Sphinx: MyST pages, and reference that is made from the code."""

import sys
from pathlib import Path

import django
from django.conf import settings
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "mmsearch_django"], MMSEARCH={}, DATABASES={})
django.setup()

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs import cards  # noqa: E402
from mmsearch_django import __version__  # noqa: E402
from mmsearch_django.checks import MEANINGS  # noqa: E402
from mmsearch_django.exceptions import ASSET_ERRORS  # noqa: E402

project = "mmsearch_django"
author = "The mmsearch_django contributors"
copyright = "2026, the mmsearch_django contributors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["deflist"]
exclude_patterns = ["_build", "samples"]
html_theme = "furo"
html_title = "mmsearch_django"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Types of other projects: their inventories are on the network, which a build must not need.
nitpick_ignore_regex = [("py:.*", r"(django|numpy|PIL|models|collections|abc|typing)\b.*")]


class Table(SphinxDirective):
    """Made from the code: a row for each thing that has a name, with an anchor each."""

    header: tuple[str, ...]

    def rows(self) -> list[tuple[str, ...]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        rows = [(f"``{name}``", *cells) for name, *cells in self.rows()]
        lines = ["   * - " + "\n     - ".join(row) for row in [self.header, *rows]]
        table = "\n".join([".. list-table::", "   :header-rows: 1", "", *lines])
        anchors = [nodes.target("", "", ids=[name.replace(".", "-").lower()]) for name, *_ in self.rows()]
        return [*anchors, *self.parse_rst(table)]

    def parse_rst(self, text: str) -> list[nodes.Node]:
        from docutils.core import publish_doctree

        return list(publish_doctree(text, settings_overrides={"report_level": 3}).children)


class ChecksTable(Table):
    """The ids of all system checks."""

    header = ("Id", "Meaning", "What to do")

    def rows(self) -> list[tuple[str, ...]]:
        return [(id, *texts) for id, texts in sorted(MEANINGS.items())]


class ErrorsTable(Table):
    """The error classes of assets."""

    header = ("Error class", "Meaning", "Tried again", "What to do")

    def rows(self) -> list[tuple[str, ...]]:
        return [(e.__name__, e.__doc__ or "", "no" if e.permanent else "yes", e.advice) for e in ASSET_ERRORS]


class Models(SphinxDirective):
    """What is known of the models that our embedders run."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(cards.page(), allow_section_headings=True)


def setup(app: Sphinx) -> None:
    app.add_directive("models", Models)
    app.add_directive("checks-table", ChecksTable)
    app.add_directive("errors-table", ErrorsTable)
