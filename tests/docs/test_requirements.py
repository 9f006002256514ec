"""The page of requirements says what pyproject.toml says."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?:`([\w-]+)`)? *\| `([\w-]+)` \| `([^`]+)` \| (\S+) \| (\S+) \| (.*)\|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs/requirements.md").read_text())


def declared():
    """Extra, package and range of everything that a site can install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, named in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for requirement in map(Requirement, named):
            yield extra, requirement.name, requirement.specifier


def test_every_dependency_has_its_row():
    rows = [(extra, package, Requirement(package + bounds).specifier) for extra, package, bounds, *_ in ROWS]
    assert sorted(rows, key=str) == sorted(declared(), key=str)


def test_what_was_tried_is_in_the_range():
    for _extra, package, bounds, lowest, highest, _why in ROWS:
        assert Version(lowest) <= Version(highest)
        assert {Version(lowest), Version(highest)} <= set(
            Requirement(package + bounds).specifier.filter([Version(lowest), Version(highest)])
        )
