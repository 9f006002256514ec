"""Errors of assets, from which docs/errors.md is made."""

import pytest

from mmsearch_django.exceptions import ASSET_ERRORS, AssetError


def all_subclasses(kind):
    return {kind for child in kind.__subclasses__() for kind in (child, *all_subclasses(child))}


def test_the_table_has_every_error_of_ours():
    ours = {kind for kind in all_subclasses(AssetError) if kind.__module__.startswith("mmsearch_django.")}
    assert set(ASSET_ERRORS) == ours


@pytest.mark.parametrize("error", ASSET_ERRORS)
def test_each_says_what_it_means_and_what_to_do(error):
    assert vars(error)["__doc__"].endswith(".")
    assert vars(error)["advice"].endswith(".")


def test_only_the_storage_is_asked_again():
    assert [error.__name__ for error in ASSET_ERRORS if not error.permanent] == ["StorageUnavailable"]
