import subprocess
import sys

import pytest

from mmsearch_django.checks import check_settings
from mmsearch_django.embedders import engines
from mmsearch_django.embedders.callable import ROLES, CallableEmbedder
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.embedders.selftest import captioned_pictures
from mmsearch_django.exceptions import ConfigurationError, EmbedderError, EmbedderUnavailable
from mmsearch_django.testing import EmbedderContract

BACKEND = "mmsearch_django.embedders.callable.CallableEmbedder"
HERE = "tests.embedders.functions"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(engines, "_engines", {})


def made(model="ours", **options):
    """Names without a dot are functions of ours."""
    for role in ROLES:
        if isinstance(options.get(role), str) and "." not in options[role]:
            options[role] = f"{HERE}.{options[role]}"
    options = {"dimensions": 8, "pairs_modalities": False, **options}
    return CallableEmbedder("site", model=model, revision="1", options=options)


class TestContract(EmbedderContract):
    config = {
        "BACKEND": BACKEND,
        "MODEL": "ours",
        "OPTIONS": {
            "texts": f"{HERE}.texts",
            "queries": f"{HERE}.queries",
            "images": f"{HERE}.images",
            "dimensions": 8,
            "pairs_modalities": False,
        },
    }
    has_prompts = True
    tolerance = 1e-5


class TestTextAloneContract(EmbedderContract):
    config = {"BACKEND": BACKEND, "MODEL": "ours", "OPTIONS": {"texts": f"{HERE}.texts", "dimensions": 8}}
    tolerance = 1e-5


class TestDeclaration:
    def test_signature(self):
        assert str(made(texts="texts").signature) == "callable:ours@1#/8"
        assert made(texts="texts").signature == made(texts="queries", images="images").signature
        assert made("theirs", texts="texts").signature != made(texts="texts").signature

    def test_it_embeds_what_it_has_functions_for(self):
        assert made(texts="texts").modalities == {"text"}
        assert made(images="images").modalities == {"image"}
        assert made(texts="texts", images="images").modalities == {"text", "image"}

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({}, "OPTIONS needs 'texts' or 'images'"),
            ({"images": "images", "queries": "queries"}, r"OPTIONS\['queries'\] stands alone"),
            ({"texts": len}, r"OPTIONS\['texts'\] is <built-in.*; give a dotted path, as in 'site.ml.embed_texts'"),
            ({"texts": "site.ml."}, "'site.ml.'; give a dotted path"),
            ({"texts": "site.ml:embed"}, "'site.ml:embed'; give a dotted path"),
            ({"texts": "texts", "model": ""}, "MODEL is empty; name what the functions run"),
            ({"texts": "texts", "dimensions": "8"}, r"OPTIONS\['dimensions'\] is '8'; give the length"),
            ({"texts": "texts", "dimensions": 0}, r"OPTIONS\['dimensions'\] is 0"),
        ],
    )
    def test_what_cannot_work(self, config, message):
        with pytest.raises(ConfigurationError, match=f"'site' .*{message}"):
            made(**config)


class TestCheck:
    @pytest.mark.parametrize("module", ["nowhere", "tests.nowhere", "tests.embedders.functions.below", "sys.below"])
    def test_a_module_that_is_not_there(self, settings, module):
        options = {"texts": f"{module}.embed", "dimensions": 8}
        settings.MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": BACKEND, "MODEL": "m", "OPTIONS": options}}}
        [found] = check_settings()
        assert found.id == "mmsearch.E003"
        assert f"OPTIONS['texts'] is '{module}.embed', and there is no module '{module}'" in found.msg
        with pytest.raises(EmbedderUnavailable, match=r"could not import OPTIONS\['texts'\]"):
            embedders["default"].embed_texts(["a"])

    def test_neither_the_module_nor_its_package_is_imported(self, tmp_path):
        package = tmp_path / "site_ml"
        (package / "models").mkdir(parents=True)
        for file in (package / "__init__.py", package / "models" / "__init__.py", package / "models" / "clip.py"):
            file.write_text("raise ImportError('A model was loaded.')")
        script = (
            "import sys; from django.conf import settings; settings.configure(); "
            f"sys.path.insert(0, {str(tmp_path)!r}); "
            "from mmsearch_django.embedders.callable import CallableEmbedder; "
            "options = {'texts': 'site_ml.models.clip.embed', 'dimensions': 8}; "
            "embedder = CallableEmbedder('x', model='m', options=options); embedder.signature; "
            "sys.exit(7 if embedder.check() == [] else 1)"
        )
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 7


class TestFunctions:
    def test_queries_are_texts_without_a_function_of_their_own(self):
        plain, both = made(texts="texts"), made(texts="texts", queries="queries")
        assert plain.embed_texts(["a"], query=True) == pytest.approx(plain.embed_texts(["a"]))
        assert both.embed_texts(["a"], query=True) == pytest.approx(plain.embed_texts(["find: a"]))

    def test_pictures_alone(self):
        assert made(images="images").embed_images(captioned_pictures()).shape == (3, 8)

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            ("one_too_few", r"'site' returned shape \(2, 8\) for 3 inputs of 8 dimensions"),
            ("not_finite", "'site' returned a vector that is not finite"),
            ("ragged", r"'site': the function of OPTIONS\['texts'\] failed, or returned no array \(ValueError\)"),
            ("broken", r"OPTIONS\['texts'\] failed, .*\(KeyError\): 'api_key'"),
            ("away", "The vendor is away"),
        ],
    )
    def test_what_they_do_wrong_is_told(self, function, message):
        with pytest.raises(EmbedderError, match=message):
            made(texts=function).embed_texts(["a"])

    @pytest.mark.parametrize(
        ("function", "kind", "message"),
        [
            ("none", EmbedderUnavailable, r"could not import OPTIONS\['texts'\], 'tests.embedders.functions.none'"),
            ("no_function", ConfigurationError, "is int and cannot be called"),
        ],
    )
    def test_what_is_no_function(self, function, kind, message):
        with pytest.raises(kind, match=f"'site' .*{message}"):
            made(texts=function).embed_texts(["a"])
