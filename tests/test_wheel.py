"""The package as it is released: what the wheel holds, and a new site in an environment that has nothing else."""

import sys

import pytest

from scripts import try_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return try_wheel.build(tmp_path_factory.mktemp("dist"))


def test_it_holds_what_the_package_reads(wheel):
    try_wheel.check_contents(wheel)


def test_a_new_site(wheel, tmp_path):
    try_wheel.try_site(wheel, tmp_path / "site", python=sys.executable, django=try_wheel.OLDEST)
