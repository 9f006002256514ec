"""All the ways in which a site writes, each as one transaction of somebody."""

import json
from io import BytesIO

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F

from tests.chaos.faults import KILLS
from tests.colours import encoded
from tests.media.deadly import DEADLY
from tests.models import Asset, Clip, Note, Photo, Story, Tag, Team

COLOURS = [(red, green, blue) for red in (0, 90, 200) for green in (10, 120, 250) for blue in (40, 150)]
ENDS = {
    "empty": "EmptyFile",
    "cut": "CorruptFile",
    "noise": "UnsupportedFile",
    "absent": "MissingFile",
    "segfault": "DecoderDied",
    "abort": "DecoderDied",
}
"""How files end, by the first word of their names; all others are pictures of one of COLOURS."""


def files():
    """Write the library's files once; their names are what rows have."""
    whole = encoded(COLOURS[0])
    contents = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "noise": b"no picture at all" * 40,
        "segfault": whole + DEADLY + b"segfault",
        "abort": whole + DEADLY + b"abort",
        **{f"good-{number}": encoded(colour) for number, colour in enumerate(COLOURS)},
    }
    for name, content in contents.items():
        default_storage.save(f"{name}.png", BytesIO(content))
    return [f"{name}.png" for name in (*contents, "absent")]


def one_of_each(names, most):
    """Beyond the range of the writers' keys: one asset for each file, and one that kills its worker."""
    texts = [KILLS, *("" for _ in names)]
    rows = zip(texts, ["", *names], strict=True)
    Asset.objects.bulk_create(Asset(pk=most + n, title=text, file=name) for n, (text, name) in enumerate(rows, 1))


class Writers:
    """``act`` writes once, by a route that the dice choose. Keys are of a range, so that writers meet."""

    def __init__(self, dice, names, most):
        self.dice, self.names, self.most = dice, names, most
        self.good = [name for name in names if name.startswith("good")]
        self.routes = [getattr(self, name) for name in dir(self) if name.startswith("by_")]
        self.fixture = settings.MEDIA_ROOT.parent / f"notes-{id(self)}.json"

    def act(self):
        route = self.dice.choice(self.routes)
        with transaction.atomic():
            route()
        return route.__name__

    def _key(self):
        return self.dice.randint(1, self.most)

    def _keys(self, most=20):
        return sorted({self._key() for _ in range(self.dice.randint(1, most))})

    def _text(self):
        if self.dice.random() < 0.001:
            return f"{KILLS} {self._word()}"
        return " ".join(self._word() for _ in range(self.dice.randint(0, 4)))

    def _word(self):
        return f"word{self.dice.randint(1, 500)}"

    def _file(self):
        return self.dice.choice(self.names if self.dice.random() < 0.03 else self.good)

    def _asset(self, key):
        return Asset(pk=key, title=self._text(), caption=self._text(), file=self._file())

    # Routes

    def by_save(self):
        self._asset(self._key()).save()

    def by_bulk_create(self):
        assets = [self._asset(key) for key in self._keys(60)]
        fields = ["title", "caption", "file"]
        Asset.objects.bulk_create(assets, update_conflicts=True, unique_fields=["pk"], update_fields=fields)

    def by_bulk_update(self):
        assets = list(Asset.objects.filter(pk__in=self._keys()).order_by("pk").select_for_update())
        for asset in assets:
            asset.title, asset.number = self._text(), asset.number + 1
        Asset.objects.bulk_update(assets, ["title", "number"])

    def by_update(self):
        Asset.objects.filter(pk=self._key()).update(caption=self._text(), file=self._file())

    def by_update_or_create(self):
        Asset.objects.update_or_create(pk=self._key(), defaults={"title": self._text()})

    def by_sql(self):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tests_asset SET title = title || ' again' WHERE id = %s", [self._key()])
            cursor.execute("INSERT INTO tests_clip (id, caption) VALUES (gen_random_uuid(), %s)", [self._text()])

    def by_copy(self):
        names = {f"{self._word()}-{self.dice.random()}" for _ in range(20)}
        with connection.cursor() as cursor, cursor.copy("COPY tests_foreign (name) FROM STDIN") as copy:
            for name in names:
                copy.write_row([name])

    def by_truncate(self):
        if self.dice.random() < 0.2:
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE tests_foreign")

    def by_loaddata(self):
        made = [{"model": "tests.note", "pk": key, "fields": self._note()} for key in self._keys(5)]
        self.fixture.write_text(json.dumps(made))
        if Story.objects.exists():
            call_command("loaddata", self.fixture, verbosity=0)

    def _note(self):
        story = Story.objects.order_by("?").first()
        return {"story": story and story.pk, "text": self._text()}

    def by_delete(self):
        keys = self._keys(3)
        list(Asset.objects.filter(pk__in=keys).order_by("pk").select_for_update())
        Asset.objects.filter(pk__in=keys).delete()
        Clip.objects.order_by("pk").first() and Clip.objects.order_by("pk").first().delete()

    def by_another_key(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE tests_asset SET id = %s WHERE id = %s AND NOT EXISTS (SELECT FROM tests_asset WHERE id = %s)",
                [key := self._key(), self._key(), key],
            )

    def by_story(self):
        tags = [Tag.objects.get_or_create(pk=number, defaults={"name": "tag"})[0] for number in (1, 2, 3)]
        team, _ = Team.objects.get_or_create(pk=self.dice.randint(1, 3), defaults={"name": "team"})
        cover, _ = Photo.objects.get_or_create(pk=self.dice.randint(1, 9), defaults={"file": self._file()})
        story, _ = Story.objects.update_or_create(
            pk=self.dice.randint(1, 99), defaults={"title": self._text(), "team": team, "cover": cover}
        )
        story.tags.set(self.dice.sample(tags, 2))

    def by_tag(self):
        Tag.objects.filter(pk=self.dice.randint(1, 3)).update(name=self._text())

    def by_team(self):
        Team.objects.filter(pk=self.dice.randint(1, 3)).update(name=self._text())

    def by_photo(self):
        Photo.objects.filter(pk=self.dice.randint(1, 9)).update(file=self._file(), licence=self._word())

    def by_note(self):
        Note.objects.filter(pk=self._key()).delete()
        Asset.objects.filter(pk=self._key()).update(number=F("number") + 1)
