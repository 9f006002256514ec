import pytest
from django.contrib.auth.models import AnonymousUser, User

from mmsearch_django.evaluation.judging import export, grades, judge, withdraw
from mmsearch_django.exceptions import EmptyQuery, JudgementError
from mmsearch_django.models import Judgement
from tests.models import Asset, AssetProxy

pytestmark = pytest.mark.django_db


@pytest.fixture
def assets():
    made = [Asset(title=title, file=f"assets/{title} 1.jpg") for title in ("cat", "dog", "cow")]
    return {asset.title: asset for asset in Asset.objects.bulk_create(made)}


@pytest.fixture
def people():
    return [User.objects.create(username=name) for name in ("ada", "ben", "eve")]


class TestJudge:
    def test_the_newest_of_each_judge_stays(self, assets, people):
        ada, ben, _ = people
        judge(assets["cat"], "a cat", relevant=True, user=ada)
        first = Judgement.objects.get().judged_at
        judge(assets["cat"], "a cat", relevant=False, user=ben)
        judge(assets["cat"], "a cat", relevant=False, user=ada)
        rows = Judgement.objects.values_list("judge", "grade", "model", "object_id", "text").order_by("judge")
        same = ("tests.asset", str(assets["cat"].pk), "a cat")
        assert list(rows) == [(ada.pk, 0, *same), (ben.pk, 0, *same)]
        assert Judgement.objects.get(judge=ada).judged_at > first

    def test_texts_are_the_same_if_searches_take_them_for_the_same(self, assets, people):
        ada = people[0]
        assert judge(assets["cat"], " a\u2028cat\n", relevant=True, user=ada) == "a cat"
        judge(assets["dog"], "A cat", relevant=True, user=ada)
        keys = [asset.pk for asset in assets.values()]
        assert grades(Asset, "a  cat", keys, user=ada) == {str(assets["cat"].pk): 1}
        assert grades(Asset, "A cat", keys, user=ada) == {str(assets["dog"].pk): 1}

    def test_a_proxy_is_judged_as_its_model(self, assets, people):
        judge(AssetProxy.objects.get(title="cat"), "a cat", relevant=True, user=people[0])
        assert grades(Asset, "a cat", [assets["cat"].pk], user=people[0])

    def test_a_long_text_fits(self, assets, people):
        text = " ".join(chr(0x1F300 + number) for number in range(700))
        judge(assets["cat"], text, relevant=True, user=people[0])
        judge(assets["cat"], text, relevant=False, user=people[0])
        assert grades(Asset, text, [assets["cat"].pk], user=people[0]) == {str(assets["cat"].pk): 0}

    def test_withdrawn_by_one_stays_with_others(self, assets, people):
        ada, ben, _ = people
        for user in (ada, ben):
            judge(assets["cat"], "a cat", relevant=True, user=user)
        judge(assets["cat"], "pet", relevant=True, user=ada)
        judge(assets["dog"], "a cat", relevant=False, user=ada)
        assert withdraw(assets["cat"], "a  cat", user=ada) == "a cat"
        withdraw(assets["cow"], "a cat", user=ada)
        assert not grades(Asset, "a cat", [assets["cat"].pk], user=ada)
        assert grades(Asset, "a cat", [assets["cat"].pk], user=ben)
        assert Judgement.objects.count() == 3

    def test_nobody_and_nothing_cannot_be_judged_by(self, assets, people):
        with pytest.raises(EmptyQuery):
            judge(assets["cat"], " \n", relevant=True, user=people[0])
        with pytest.raises(JudgementError, match="logged in"):
            judge(assets["cat"], "a cat", relevant=True, user=AnonymousUser())
        assert not Judgement.objects.exists()


class TestExport:
    def test_most_judges_decide_and_where_they_are_even_it_is_relevant(self, assets, people):
        said = {"cat": (1, 1, 0), "dog": (1, 0, 0), "cow": (1, 0)}
        for title, votes in said.items():
            for user, vote in zip(people, votes, strict=False):
                judge(assets[title], "an animal", relevant=bool(vote), user=user)
        judge(assets["dog"], "bark", relevant=True, user=people[0])
        found = export(Asset.objects.all(), "file")
        assert found.queries == {"1": "an animal", "2": "bark"}
        assert found.qrels == {"1": {"cat 1.jpg": 1, "dog 1.jpg": 0, "cow 1.jpg": 1}, "2": {"dog 1.jpg": 1}}
        assert found.gone == 0

    def test_who_has_left_still_counts(self, assets, people):
        for user, relevant in zip(people, (False, False, True), strict=True):
            judge(assets["cat"], "a cat", relevant=relevant, user=user)
        people[0].delete()
        people[1].delete()
        assert Judgement.objects.filter(judge=None).count() == 2
        assert export(Asset.objects.all(), "pk").qrels == {"1": {str(assets["cat"].pk): 0}}

    def test_what_is_gone_is_left_out_and_counted(self, assets, people):
        for user in people:
            judge(assets["cat"], "a cat", relevant=True, user=user)
        judge(assets["dog"], "a dog", relevant=True, user=people[0])
        assets["cat"].delete()
        found = export(Asset.objects.all(), "file")
        assert (found.queries, found.qrels, found.gone) == ({"1": "a dog"}, {"1": {"dog 1.jpg": 1}}, 3)

    def test_other_models_judgements_are_none_of_these(self, assets, people):
        judge(assets["cat"], "a cat", relevant=True, user=people[0])
        Judgement.objects.update(model="tests.clip")
        with pytest.raises(JudgementError, match=r"No row of tests.Asset has been judged"):
            export(Asset.objects.all(), "file")

    def test_a_name_of_two_rows_is_refused_if_one_is_judged(self, assets, people):
        Asset.objects.create(file="elsewhere/cat 1.jpg")
        judge(assets["dog"], "a pet", relevant=True, user=people[0])
        assert export(Asset.objects.all(), "file").qrels == {"1": {"dog 1.jpg": 1}}
        judge(assets["cat"], "a pet", relevant=True, user=people[0])
        with pytest.raises(JudgementError, match=r"Judged items cannot be told .*: 'cat 1.jpg'\. .* pk always"):
            export(Asset.objects.all(), "file")
        assert len(export(Asset.objects.all(), "pk").qrels["1"]) == 2

    @pytest.mark.parametrize("title", ["", " cat", "cat ", "a\ncat"])
    def test_names_that_a_line_cannot_hold_are_refused(self, assets, people, title):
        Asset.objects.filter(title="cat").update(title=title)
        judge(assets["cat"], "a cat", relevant=True, user=people[0])
        with pytest.raises(JudgementError, match="cannot be told by their title"):
            export(Asset.objects.all(), "title")

    def test_the_field_must_be_there(self, assets):
        with pytest.raises(JudgementError, match="no field 'name' to match items by"):
            export(Asset.objects.all(), "name")
