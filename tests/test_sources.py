from io import BytesIO

import pytest
from django.core.files.base import ContentFile
from PIL import Image

from mmsearch_django.exceptions import ConfigurationError, CorruptFile, EmptyFile, MissingFile, UnsupportedFile
from mmsearch_django.sources import ImageSource, Skip, TextSource
from tests.models import Asset, AssetProxy, LongClip, Photo, Story, Tag, Team

TEXT = TextSource("title", "caption")
IMAGE = ImageSource("file")


def picture(colour="red"):
    buffer = BytesIO()
    Image.new("RGB", (20, 10), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def asset(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path

    def make(data, name="picture.png"):
        made = Asset(title="An asset")
        made.file.save(name, ContentFile(data), save=False)
        return made

    return make


class TestText:
    def test_joins_what_is_there(self):
        assert TEXT.read(Asset(title=" A ", caption="b")).value == "A\nb"
        assert TEXT.read(Asset(title="A")).value == "A"

    def test_equal_texts_have_equal_digests(self):
        assert TEXT.read(Asset(title="A")).digest == TEXT.read(Asset(title=" A")).digest
        assert TEXT.read(Asset(title="A")).digest != TEXT.read(Asset(title="B")).digest

    @pytest.mark.parametrize("blank", ["", "  \n"])
    def test_nothing_is_skipped(self, blank):
        with pytest.raises(Skip, match="title, caption are empty"):
            TEXT.read(Asset(title=blank, caption=blank))

    def test_an_address_or_a_path_is_only_text(self):
        assert TEXT.read(Asset(title="file:///etc/passwd")).value == "file:///etc/passwd"


class TestImage:
    def test_reads_a_picture(self, asset):
        content = IMAGE.read(asset(picture()))
        assert content.value.size == (20, 10)
        assert content.value.mode == "RGB"
        assert len(content.digest) == 32

    def test_no_file_is_skipped(self):
        with pytest.raises(Skip, match="No file"):
            IMAGE.read(Asset())

    def test_another_medium_is_skipped(self, asset):
        with pytest.raises(Skip, match="film.*is no picture"):
            IMAGE.read(asset(b"\x00\x00\x00\x18ftypmp42" + bytes(100), "film.mp4"))

    @pytest.mark.parametrize(
        ("data", "error"), [(b"", EmptyFile), (b"hello", UnsupportedFile), (picture()[:45], CorruptFile)]
    )
    def test_what_should_be_a_picture_and_is_none_fails(self, asset, data, error):
        with pytest.raises(error, match="picture.*png"):
            IMAGE.read(asset(data))

    def test_a_missing_file_fails(self, asset):
        made = asset(picture())
        made.file.storage.delete(made.file.name)
        with pytest.raises(MissingFile):
            IMAGE.read(made)


class TestColumns:
    def test_of_a_model_its_proxy_and_its_child(self):
        assert [column.name for column in TEXT.columns(Asset)] == ["title", "caption"]
        assert [column.name for column in TEXT.columns(AssetProxy)] == ["title", "caption"]
        assert [column.name for column in TextSource("caption", "minutes").columns(LongClip)] == ["caption", "minutes"]

    @pytest.mark.parametrize("name", ["nope", "tags", "visual"])
    def test_a_name_that_is_no_column(self, name):
        with pytest.raises(ConfigurationError, match="tests.Asset"):
            TextSource(name).columns(Asset)

    def test_an_image_source_needs_a_file_field(self):
        with pytest.raises(ConfigurationError, match="no FileField"):
            ImageSource("title").columns(Asset)

    @pytest.mark.parametrize("fields", [(), ("",), (7,)])
    def test_a_source_needs_names(self, fields):
        with pytest.raises(ConfigurationError, match="TextSource"):
            TextSource(*fields)


class TestPaths:
    @pytest.mark.parametrize(
        "name", ["tags__nope", "nope__name", "team__asset", "tags__name__lower", "title__x", "visual__object"]
    )
    def test_a_name_that_leads_to_no_column(self, name):
        with pytest.raises(ConfigurationError, match="tests.Asset"):
            TextSource(name).paths(Asset)

    def test_a_picture_among_many(self):
        assert [path.column.name for path in ImageSource("cover__file").paths(Story)] == ["file"]
        with pytest.raises(ConfigurationError, match="many pictures of one tests.Team"):
            ImageSource("asset__file").paths(Team)
        with pytest.raises(ConfigurationError, match="no FileField"):
            ImageSource("cover__licence").paths(Story)


@pytest.mark.django_db
class TestRelated:
    @pytest.fixture
    def story(self):
        story = Story.objects.create(title="A", team=Team.objects.create(name="us"))
        story.tags.add(*[Tag.objects.create(name=name) for name in ("zebra", "apple")])
        return story

    def test_texts_come_in_the_order_of_their_keys(self, story):
        source = TextSource("title", "team__name", "parent__title", "tags__name", "notes__text")
        assert source.read(story).value == "A\nus\nzebra\napple"

    def test_a_picture_of_another(self, story, asset):
        source = ImageSource("cover__file")
        with pytest.raises(Skip, match="No file in cover__file"):
            source.read(story)
        story.cover = Photo(file=asset(picture()).file.name)
        assert source.read(story).value.size == (20, 10)


def test_sources_are_equal_by_what_they_read():
    assert TextSource("a", "b") == TextSource("a", "b")
    assert TextSource("a", "b") != TextSource("b", "a")
    assert TextSource("file") != ImageSource("file")
    assert len({TextSource("a"), TextSource("a")}) == 1
    assert repr(TextSource("a")) == "TextSource('a')"
