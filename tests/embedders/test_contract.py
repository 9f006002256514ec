"""The contract on every backend that runs here without torch; and that it finds what it is for."""

import unittest

import pytest

from mmsearch_django.embedders.jina_clip import WEIGHTS
from mmsearch_django.testing import EmbedderContract
from tests.embedders import broken

BROKEN = "tests.embedders.broken."


class TestDummy(EmbedderContract):
    config = {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 8}}
    tolerance = 1e-5


class TestStarter(EmbedderContract):
    config = {"BACKEND": "mmsearch_django.embedders.starter.StarterEmbedder"}
    tolerance = 1e-5


class JinaClip(EmbedderContract):
    has_prompts = True
    tolerance = 1e-5
    weights = "fp32"

    @pytest.fixture(autouse=True)
    def configure(self, toy_jina_clip):
        options = {"folder": str(toy_jina_clip), "weights": self.weights, "dimensions": 256}
        self.config = {"BACKEND": "mmsearch_django.embedders.jina_clip.JinaClipEmbedder", "OPTIONS": options}


class TestJinaClip(JinaClip):
    pass


class TestJinaClipInHalfPrecision(JinaClip):
    weights = "fp16"
    tolerance = 1e-3


class TestJinaClipInEightBits(JinaClip):
    weights = "int8"


def test_all_of_jina_clips_weights_are_here():
    assert {made.weights for made in JinaClip.__subclasses__()} == WEIGHTS.keys()


def contract(name, **attributes):
    backend = name if "." in name else BROKEN + name
    return type("Contract", (EmbedderContract,), {"config": {"BACKEND": backend}, **attributes})()


FAULTS = [
    ("declares_what_it_embeds", "NoModality", "give a frozenset of 'text' and 'image'"),
    ("declares_what_it_embeds", "NoPreprocessing", "Preprocessing is '1'; give an int"),
    ("declares_what_it_embeds", "NoDimensions", "Dimensions is '64'; give an int"),
    ("declares_what_it_embeds", "OtherDimensionsInSignature", "signature names other dimensions"),
    ("declares_what_it_embeds", "ChecksThatAreNone", "must return a list of django.core.checks"),
    ("signature_is_known_without_loading_and_stays", "Careless", "build it from the configuration"),
    ("signature_is_known_without_loading_and_stays", "LoadsToDeclare", r"load\(\) was called to declare it"),
    ("declaring_it_is_cheap", "Careless", r"imports tokenizers; import inside load\(\)"),
    ("unknown_options_are_refused", "AnyOptions", "list its own in known_options"),
    ("unknown_options_are_refused", "SilentAboutOptions", "does not name the unknown option"),
    ("it_passes_its_self_test", "Pairless", "It cannot serve: .* is nearer to the picture of a"),
    ("a_modality_that_it_lacks_is_refused", "TextOnlyThatTakesPictures", "Image, .* must raise ConfigurationError"),
    ("a_modality_that_it_lacks_is_refused", "PicturesOnlyThatTakesTexts", "Text, .* must raise ConfigurationError"),
    ("wrong_types_are_refused", "TakesOneText", "The texts 'a text alone' must raise TypeError"),
    ("wrong_types_are_refused", "TakesBytes", r"The texts \[b'bytes'\] must raise TypeError"),
    ("wrong_types_are_refused", "RaisesSomethingElse", "must raise TypeError; .* it raised ValueError"),
    ("vectors_are_rows_of_unit_length", "Doubles", "of float64, not .* of float32"),
    ("vectors_are_rows_of_unit_length", "NotOfUnitLength", "not of length one"),
    ("vectors_are_rows_of_unit_length", "NotFinite", "not finite"),
    ("vectors_are_rows_of_unit_length", "OneRowTooFew", r"gave shape \(9, 64\)"),
    ("nothing_gives_no_rows", "FlatWhenEmpty", r"An empty list .* gave shape \(0,\)"),
    ("rows_are_in_the_order_of_the_inputs", "SortsByLength", "undo any sorting by length"),
    ("neighbours_change_nothing", "Padding", "A text got another vector alone .* mask the padding"),
    ("neighbours_change_nothing", "PicturesOfABatch", "A picture got another vector alone"),
    ("the_same_input_gives_the_same_vector", "Dropout", "A picture given twice got two vectors"),
    ("different_inputs_give_different_vectors", "ForgetsRare", "of kind text got one vector"),
    ("prompts_are_as_declared", "Prompts", "set has_prompts, or drop them"),
    ("text_is_only_ever_text", "Careless", "was fetched; .* was opened; one of .* got the vector of the picture"),
    ("any_text_can_be_embedded", "StumblesOverSurrogates", "'half of a surrogate pair' raised UnicodeEncodeError"),
    ("any_text_can_be_embedded", "ZeroForEmpty", "The text 'empty' raised EmbedderError"),
    ("any_picture_can_be_embedded", "DividesByTheSide", "1 x 1.* raised ValueError"),
    ("inputs_are_left_as_they_are", "Shrinks", r"It changes what it is given \(picture\); copy first"),
    ("inputs_are_left_as_they_are", "Consumes", r"It changes what it is given \(text\)"),
    ("threads_may_share_it", "Shared", "in a thread; keep no state"),
    ("processes_agree", "Careless", r"in another process; seed nothing from hash\(\)"),
    ("a_forked_process_loads_its_own", "Careless", "handed the engine of its parent"),
    ("a_forked_process_loads_its_own", "DiesInChildren", "In a child it failed .*used elsewhere"),
]


@pytest.mark.parametrize(
    ("promise", "name", "message"), FAULTS, ids=[f"{name}-{promise}" for promise, name, _ in FAULTS]
)
def test_it_finds(promise, name, message):
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        getattr(contract(name), f"test_{promise}")()


def test_prompts_that_are_declared_and_not_there():
    with pytest.raises(AssertionError, match="is query= ignored"):
        contract("Sound", has_prompts=True).test_prompts_are_as_declared()


def test_every_promise_is_seen_to_fail():
    promises = {name.removeprefix("test_") for name in dir(EmbedderContract) if name.startswith("test_")}
    assert promises == {promise for promise, _name, _message in FAULTS}


def test_every_broken_embedder_is_used():
    made = {name for name, value in vars(broken).items() if isinstance(value, type) and issubclass(value, broken.Sound)}
    assert made - {"Sound"} == {name for _promise, name, _message in FAULTS}


def test_it_runs_under_unittest():
    case = type("Case", (EmbedderContract, unittest.TestCase), {"config": {"BACKEND": f"{BROKEN}Doubles"}})
    names = ["test_vectors_are_rows_of_unit_length", "test_the_same_input_gives_the_same_vector"]
    result = unittest.TestResult()
    unittest.TestSuite(case(name) for name in names).run(result)
    assert (result.testsRun, len(result.errors)) == (2, 0)
    [(failed, _)] = result.failures
    assert failed.id().endswith("test_vectors_are_rows_of_unit_length")
