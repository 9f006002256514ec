from django.test import override_settings

from mmsearch_django.conf import Settings, conf


def test_a_setting_that_is_not_set_has_its_default():
    assert conf.DEPTH == 100


def test_a_setting_is_read_when_it_is_asked_for_and_restored():
    with override_settings(MMSEARCH={"DEPTH": 7}):
        assert conf.DEPTH == 7
        assert conf.WORKERS == Settings.WORKERS
    assert conf.DEPTH == 100


def test_a_site_may_have_no_settings_at_all(settings):
    del settings.MMSEARCH
    assert conf.EMBEDDERS == {}
    assert conf.unknown_keys() == []


def test_unknown_keys_are_named():
    with override_settings(MMSEARCH={"DEPTH": 7, "DEPHT": 8, "depth": 9}):
        assert conf.unknown_keys() == ["DEPHT", "depth"]
