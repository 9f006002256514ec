"""A site's writers, by every route at once, for some seconds: python -m tests.chaos.writers SEED SECONDS KEYS

Each tries again what failed because the database was away or somebody else held a lock, as sites do.
"""

import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter

import django
import psycopg
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction

from tests.chaos import worker  # noqa: F401 - to send messages by

django.setup()

from tests.chaos.contents import BAD, a_file, a_text  # noqa: E402
from tests.chaos.deadly import DEADLY_WORD  # noqa: E402
from tests.models import Asset, Note, Photo, Story, Tag, Team  # noqa: E402


class Writer:
    """One connection, one source of chance. A method whose name begins with ``by_`` is a route."""

    def __init__(self, seed, keys):
        self.random, self.keys = random.Random(seed), keys
        self.counts, self.retries = Counter(), Counter()
        self.routes = [name for name in dir(self) if name.startswith("by_")]

    def the_bad(self):
        """One of each kind, with keys that no other route touches."""
        worst = [("", DEADLY_WORD), *((name, "") for name in BAD)]
        for key, (file, title) in enumerate(worst, self.keys + 1):
            Asset.objects.get_or_create(pk=key, defaults={"file": file, "title": title})

    def run(self, until):
        self.trying(self.the_bad)
        while time.monotonic() < until:
            self.trying(getattr(self, self.random.choice(self.routes)))
        while not self.trying(self.the_bad):  # After a TRUNCATE.
            pass
        connections.close_all()

    def trying(self, route):
        """Whether it was written."""
        time.sleep(self.random.random() * 0.05)
        try:
            route()
        except (DatabaseError, psycopg.Error) as error:
            self.retries[type(error).__name__] += 1
            connection.close()
            return False
        self.counts[route.__name__] += 1
        return True

    def key(self):
        return self.random.randint(1, self.keys)

    def some_keys(self, most=30):
        return sorted(self.random.sample(range(1, self.keys + 1), self.random.randint(1, most)))

    def values(self):
        return {"file": a_file(self.random), "title": a_text(self.random)}

    def rows(self):
        return [(key, *self.values().values()) for key in self.some_keys()]

    def by_save(self):
        Asset(pk=self.key(), **self.values()).save()

    def by_update_or_create(self):
        Asset.objects.update_or_create(pk=self.key(), defaults=self.values())

    def by_bulk_create(self):
        Asset.objects.bulk_create([Asset(pk=key, **self.values()) for key in self.some_keys()], ignore_conflicts=True)

    def by_upsert(self):
        assets = [Asset(pk=key, **self.values()) for key in self.some_keys()]
        Asset.objects.bulk_create(assets, update_conflicts=True, unique_fields=["id"], update_fields=["file", "title"])

    def by_bulk_update(self):
        assets = list(Asset.objects.filter(pk__in=self.some_keys()))
        for asset in assets:
            asset.file, asset.title = self.values().values()
        Asset.objects.bulk_update(assets, ["file", "title"])

    def by_update(self):
        Asset.objects.filter(pk__in=self.some_keys()).update(caption=a_text(self.random))

    def by_an_update_that_is_rolled_back(self):
        with transaction.atomic():
            Asset.objects.filter(pk__in=self.some_keys()).update(**self.values())
            transaction.set_rollback(True)

    def by_raw_sql(self):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tests_asset SET title = title || 'x' WHERE id = ANY(%s)", [self.some_keys()])

    def by_raw_upsert(self):
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO tests_asset (id, file, title) VALUES (%s, %s, %s) "
                "ON CONFLICT (id) DO UPDATE SET file = EXCLUDED.file, title = EXCLUDED.title",
                self.rows(),
            )

    def by_copy(self):
        rows = self.rows()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM tests_asset WHERE id = ANY(%s)", [[row[0] for row in rows]])
            with cursor.copy("COPY tests_asset (id, file, title) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

    def by_loaddata(self):
        fixture = [
            {"model": "tests.asset", "pk": key, "fields": {"file": file, "title": title}}
            for key, file, title in self.rows()
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(fixture, file)
            file.flush()
            call_command("loaddata", file.name, verbosity=0)

    def by_delete(self):
        Asset.objects.filter(pk__in=self.some_keys(5)).delete()

    def by_raw_delete(self):
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM tests_asset WHERE id = %s", [self.key()])

    def by_new_keys(self):
        """A row takes another's key, or a new one, in one statement."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tests_asset SET id = %s WHERE id = %s", [self.key(), self.key()])

    def by_truncate(self):
        if self.random.random() < 0.005:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '200ms'; TRUNCATE tests_asset CASCADE; RESET lock_timeout")

    def by_a_write_that_no_trigger_sees(self):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            Asset.objects.filter(pk__in=self.some_keys(5)).update(title=a_text(self.random))

    # What a story reads of others

    def story(self):
        return Story.objects.get_or_create(pk=self.key() % 40 + 1, defaults={"title": a_text(self.random)})[0]

    def tag(self):
        return Tag.objects.get_or_create(pk=self.key() % 20 + 1, defaults={"name": "new"})[0]

    def by_adding_tags(self):
        self.story().tags.add(self.tag(), self.tag())

    def by_setting_tags(self):
        self.story().tags.set([self.tag()])

    def by_clearing_tags(self):
        self.tag().story_set.clear()

    def by_renaming_tags(self):
        Tag.objects.filter(pk=self.tag().pk).update(name=f"tag {self.random.randrange(1000)}")

    def by_deleting_tags(self):
        self.tag().delete()

    def by_notes(self):
        Note.objects.create(story=self.story(), text=a_text(self.random))
        Note.objects.filter(story_id=self.story().pk, text__startswith="red").delete()

    def by_parents_and_teams(self):
        team, _ = Team.objects.get_or_create(pk=self.key() % 5 + 1, defaults={"name": "team"})
        Story.objects.filter(pk=self.story().pk).update(team=team, parent=self.story())
        Team.objects.filter(pk=team.pk).update(name=f"team {self.random.randrange(100)}")

    def by_covers(self):
        photo, _ = Photo.objects.update_or_create(pk=self.key() % 10 + 1, defaults={"file": a_file(self.random)})
        Story.objects.filter(pk=self.story().pk).update(cover=photo)

    def by_deleting_stories(self):
        self.story().delete()


def main(seed, seconds, keys, threads=4):
    writers = [Writer(f"{seed} {number}", int(keys)) for number in range(threads)]
    until = time.monotonic() + float(seconds)
    running = [threading.Thread(target=writer.run, args=[until]) for writer in writers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    written = sum((writer.counts for writer in writers), Counter())
    sys.stdout.write(json.dumps({"written": written, "retries": sum((w.retries for w in writers), Counter())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
