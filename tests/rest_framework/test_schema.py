import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ModelViewSet

from example_project.library.models import Asset
from mmsearch_django.rest_framework.judging import JudgeViewSetMixin
from tests.rest_framework import urls


@pytest.fixture(scope="module")
def schema():
    """Of viewsets with and without pages."""
    paths = [path for path in urls.router.urls if path.name.partition("-")[0] in ("asset", "unpaged")]
    described = SchemaGenerator(patterns=paths).get_schema(public=True)
    validate_schema(described)
    return described


def of(schema, operation):
    """The operation of that id, and the schema of what it answers."""
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    [found] = [each for each in operations if each["operationId"] == operation]
    return found, found["responses"]["200"]["content"]["application/json"]


def parameters(operation):
    return {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}


def test_the_example_projects_schema_is_without_warnings(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_lists_take_a_search_and_answer_pages_with_a_report(schema):
    operation, answer = of(schema, "assets_list")
    assert {
        "like",
        "unlike",
        "avoid_example",
        "search",
        "example",
        "avoid",
        "fields",
        "weights",
        "min_closeness",
        "depth",
        "nearest",
        "page",
    } == (parameters(operation))
    page = schema["components"]["schemas"][answer["schema"]["$ref"].rpartition("/")[2]]
    assert {"count", "next", "previous", "results", "report"} == set(page["properties"])
    assert {"200", "400", "503"} == set(operation["responses"])
    assert "Retry-After" in operation["responses"]["503"]["headers"]


def test_a_search_takes_json_or_a_form_with_a_picture(schema):
    operation, answer = of(schema, "assets_search")
    assert not parameters(operation)
    bodies = {
        media: schema["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        for media, content in operation["requestBody"]["content"].items()
    }
    assert set(bodies) == {"application/json", "multipart/form-data"}
    assert bodies["multipart/form-data"]["image"]["items"]["format"] == "binary"
    assert set(bodies["application/json"]) == {*bodies["multipart/form-data"]} - {"image", "avoid_image"}
    assert operation["requestBody"]["content"]["application/json"]["examples"]
    [example] = answer["examples"].values()
    page = schema["components"]["schemas"][answer["schema"]["$ref"].rpartition("/")[2]]
    assert set(example["value"]) == set(page["properties"])
    assert {"example", "address", "report"} < set(page["properties"])
    assert {"400", "413", "415", "503"} < set(operation["responses"])


def test_similar_takes_options_and_pages(schema):
    operation, _ = of(schema, "assets_similar")
    assert {"fields", "weights", "min_closeness", "depth", "nearest", "page"} == parameters(operation)
    assert {"404", "409"} < set(operation["responses"])


def test_without_pages_there_are_rows_alone(schema):
    assert of(schema, "unpaged_list")[1]["schema"]["type"] == "array"
    _, answer = of(schema, "unpaged_search")
    page = schema["components"]["schemas"][answer["schema"]["$ref"].rpartition("/")[2]]
    assert {"results", "example", "examples", "address"} == set(page["properties"])


def test_the_sites_own_operations_stay_as_they_are(schema):
    operation, answer = of(schema, "assets_retrieve")
    assert answer["schema"]["$ref"].endswith("/Asset")
    assert operation.get("description", "") == ""


@pytest.mark.parametrize("bases", [(JudgeViewSetMixin, urls.AssetViewSet), (JudgeViewSetMixin, ModelViewSet)])
def test_judgements_are_described_with_search_and_without(bases):
    view = type("Judged", bases, {"queryset": Asset.objects.all(), "serializer_class": urls.AssetSerializer})
    router = SimpleRouter()
    router.register("assets", view, basename="asset")
    described = SchemaGenerator(patterns=router.urls).get_schema(public=True)
    validate_schema(described)
    operation, answer = of(described, "judge")
    [(media, body)] = operation["requestBody"]["content"].items()
    assert media == "application/json"
    assert body["schema"]["$ref"].endswith("/JudgementRequest")
    said = described["components"]["schemas"][answer["schema"]["$ref"].rpartition("/")[2]]
    assert said["required"] == ["relevant", "text"]
    assert said["properties"]["relevant"]["nullable"]
    assert {"200", "400", "404"} == set(operation["responses"])
    assert "take" in operation["description"]
    found = of(described, "root_list")[1]["schema"]["$ref"]
    report = "report" in described["components"]["schemas"][found.rpartition("/")[2]]["properties"]
    assert report == issubclass(view, urls.AssetViewSet)
