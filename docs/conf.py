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


class ChecksTable(SphinxDirective):
    """The ids of all system checks, with an anchor each."""

    def run(self) -> list[nodes.Node]:
        rows = [f"   * - ``{id}``\n     - {meaning}\n     - {fix}" for id, (meaning, fix) in sorted(MEANINGS.items())]
        header = "   * - Id\n     - Meaning\n     - What to do"
        table = "\n".join([".. list-table::", "   :header-rows: 1", "", header, *rows])
        anchors = [nodes.target("", "", ids=[id.replace(".", "-").lower()]) for id in MEANINGS]
        return [*anchors, *self.parse_rst(table)]

    def parse_rst(self, text: str) -> list[nodes.Node]:
        from docutils.core import publish_doctree

        return list(publish_doctree(text, settings_overrides={"report_level": 3}).children)


class Models(SphinxDirective):
    """What is known of the models that our embedders run."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(cards.page(), allow_section_headings=True)


def setup(app: Sphinx) -> None:
    app.add_directive("models", Models)
    app.add_directive("checks-table", ChecksTable)
