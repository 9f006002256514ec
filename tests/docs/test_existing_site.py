"""What docs/existing-site.md tells a reader to do, on a table that was there before."""

import re
import shutil
import threading
from dataclasses import replace

import pytest

from tests.docs.production import Site, role
from tests.projects import empty_database

ROWS = """
INSERT INTO photos_photo (id, file, title, photographer, deleted_at)
SELECT gen_random_uuid(), '', 'photo ' || n, 'p' || n % 3, CASE WHEN n % 10 = 0 THEN now() END
FROM generate_series(1, 300) AS n
"""
ROW = "INSERT INTO photos_photo (id, file, title, photographer) VALUES (gen_random_uuid(), '', 'new', 'me')"


@pytest.fixture(scope="module")
def production(tmp_path_factory, django_db_setup, django_db_blocker):
    """Without search, with rows. Its tables belong to a role that may make tables and nothing else."""
    with (
        django_db_blocker.unblock(),
        role("mmsearch_owner") as owner,
        role("mmsearch_web") as web,
        empty_database("mmsearch_production") as name,
    ):
        site = Site(tmp_path_factory.mktemp("site"), name)
        site.declare()
        with site.session() as session:
            session.execute(f"GRANT CREATE ON SCHEMA public TO {owner}")
            site.manage("makemigrations", "photos", role=owner)
            site.manage("migrate", role=owner)
            session.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON photos_photo TO {web}")
            session.execute(ROWS)
        yield site


@pytest.fixture
def site(production, tmp_path, django_db_blocker):
    """A copy of it."""
    with django_db_blocker.unblock(), empty_database("mmsearch_site", template=production.database) as name:
        yield Site(shutil.copytree(production.folder, tmp_path / "site"), name)


def migrate(site, *fields, table=None, then=(), **options):
    """Declare these fields of the sample, and go on from there."""
    site.declare(*fields, installed=True, table=table)
    return site.commands("makemigrations photos --name search", "migrate", *then, **options)


def test_taking_it_out_leaves_no_trace(site):
    before, registered = site.schema(), site.registered()
    migrate(site, "words")
    with_one, registered_with_one = site.schema(), site.registered()
    migrate(site, "words", "visual", then=["mmsearch_index"])
    assert site.schema() != with_one

    migrate(site, "words", then=["remove_stale_contenttypes --no-input"])
    assert site.schema() == with_one
    assert site.registered() == registered_with_one
    with site.session() as session:
        counts = "SELECT (SELECT count(*) FROM mmsearch_django_space), (SELECT count(*) FROM mmsearch_django_state)"
        assert session.execute(counts).fetchone() == (1, 300)

    migrate(site, then=["migrate mmsearch_django zero"])
    site.declare()
    site.manage("remove_stale_contenttypes", "--include-stale-apps", "--no-input")
    with site.session() as session:
        session.execute("DROP EXTENSION vector")  # What needed it would be in the way.
    assert site.schema() == before
    assert site.registered() == registered


def test_a_busy_table(site):
    """Somebody's transaction stays open on it. Writers go on, and what was not noticed is found."""
    written, done = 0, threading.Event()
    said = []

    def deploy():
        said.append(migrate(site, "words"))
        done.set()

    with site.session() as busy, site.session(options="-c lock_timeout=1s") as writer:
        with busy.transaction():
            busy.execute(ROW)
            thread = threading.Thread(target=deploy)
            thread.start()
            while not done.wait(0.02):
                writer.execute(ROW)
                written += 1
        thread.join()
    assert "lock timeout" in said[0]
    assert "run 'manage.py mmsearch_triggers --database default' when it is free" in said[0]
    assert written

    said = site.commands("mmsearch_triggers", "mmsearch_triggers", "mmsearch_index")
    assert "create the insert trigger" in said
    assert "All is as declared." in said
    with site.session() as session:
        assert session.execute("SELECT count(*) FROM photos_photo_words").fetchone() == (301 + written,)


SEARCHES = """
from django.utils import timezone
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims, pipeline, sweep
from mmsearch_django.indexing.targets import target
from pgvector.django import CosineDistance
from photos.models import Photo

words = target(embedding_fields(Photo)["words"])
query = words.field.embedder.embed_texts(["photo 7"])[0]


def agree():
    "Searches of each queryset against all that is ready in it; how many these are."
    counts = []
    for rows in (Photo.objects.all(), Photo.alive.all(), Photo.alive.of("p1"), Photo.objects.exclude(deleted_at=None)):
        ready = rows.filter(words__isnull=False)
        found = rows.search(vector=query, fields=["words"], depth=300)
        assert list(found) == list(ready.order_by(CosineDistance("words__vector", query), "pk"))
        assert found.report.complete == (len(ready) == rows.count()), found.report
        counts.append(len(ready))
    return counts


counts = [agree()]
while sweep.sweep_slice(words, 100):
    while claims.drain(words):
        pass
    for _ in pipeline.work(words, size=40):
        counts.append(agree())
print(counts[0], counts[len(counts) // 2], counts[-1])

gone = Photo.alive.first()
gone.deleted_at = timezone.now()
gone.save()
assert gone not in Photo.alive.search(gone.title, fields=["words"])
assert gone in Photo.objects.search(gone.title, fields=["words"])
assert Photo.objects.similar_to(gone, fields=["words"]).count()
Photo.objects.filter(pk=gone.pk).update(title="renamed")
for _ in pipeline.work(words):
    pass
assert Photo.objects.search("renamed", fields=["words"])[0] == gone
"""


def test_searches_are_right_while_it_is_indexed_and_keep_to_the_managers(site):
    migrate(site, "words")
    counts = site.python(SEARCHES).splitlines()[0]
    assert counts.startswith("[0, 0, 0, 0] ")
    assert counts.endswith(" [300, 270, 90, 30]")


WRITES = """
INSERT INTO photos_photo (id, file, title, photographer) VALUES ('{key}', '', 'new', 'me');
UPDATE photos_photo SET title = 'renamed' WHERE id = '{key}';
DELETE FROM photos_photo WHERE id = '{key}';
"""
KEY = "0192d5a0-0000-7000-8000-000000000000"


def marks(site):
    with site.session() as session:
        return session.execute("SELECT object_id FROM mmsearch_django_mark").fetchall()


def test_without_the_extension_nothing_is_migrated(site):
    before = site.schema()
    refused = migrate(site, "words", role="mmsearch_owner", code=1)
    assert "Let a role that may run: CREATE EXTENSION vector;" in refused
    assert "Traceback" not in refused
    assert site.schema() == before


SQL = """
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

for app, name in sorted(MigrationLoader(None).graph.nodes):
    if app == "mmsearch_django" or name == "0002_search":
        call_command("sqlmigrate", app, name)
call_command("mmsearch_triggers", "--sql")
"""


def test_reviewed_sql_by_hand_is_what_migrate_does(site):
    with site.session() as session:
        session.execute("CREATE EXTENSION vector")
    site.declare("words")
    site.manage("makemigrations", "photos", "--name", "search", role="mmsearch_owner")
    with empty_database("mmsearch_by_hand", template=site.database) as name:
        by_hand = replace(site, database=name)
        sql = by_hand.python(SQL, role="mmsearch_owner")
        by_hand.psql(sql, role="mmsearch_owner")
        by_hand.psql(sql[sql.index("SET lock_timeout") :], role="mmsearch_owner")  # As one does after a timeout.
        said = by_hand.commands("migrate --fake", "mmsearch_triggers", role="mmsearch_owner")
        assert said.endswith("All is as declared.\n")
        schema = by_hand.schema()
    site.manage("migrate", role="mmsearch_owner")
    assert site.schema() == schema


def test_writes_of_a_role_without_rights_on_ours(site):
    with site.session() as session:
        session.execute("CREATE EXTENSION vector")
    migrate(site, "words", role="mmsearch_owner")
    site.psql(WRITES.format(key=KEY), role="mmsearch_web")
    assert marks(site) == [(KEY,)] * 3
    with site.session() as session:
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO mmsearch_web")
    search = "from photos.models import Photo; print(Photo.objects.search('new', fields=['words']))"
    assert site.python(search, role="mmsearch_web") == "<PhotoQuerySet []>\n"

    with site.session() as session:  # Nor does our role need to own what it is to watch.
        session.execute("ALTER TABLE photos_photo OWNER TO postgres")
        session.execute("DROP TRIGGER mmsearch_insert ON photos_photo")
    refused = site.manage("mmsearch_triggers", role="mmsearch_owner", code=1)
    remedy = re.search(r"Let a role that may run: (.*); and then run", refused)[1]
    assert remedy == 'GRANT TRIGGER ON "public"."photos_photo" TO mmsearch_owner'
    site.psql(remedy)
    assert "Done: create the insert trigger" in site.manage("mmsearch_triggers", role="mmsearch_owner")

    with site.session() as session:  # Whatever became of our tables, writes pass.
        session.execute("ALTER TABLE mmsearch_django_mark OWNER TO postgres")
    site.psql(WRITES.format(key=KEY), role="mmsearch_web")


INDEXED = """
from django.core.management import call_command
from mmsearch_django.indexing import hnsw
from photos.models import Photo

hnsw.PAYS = 100
call_command("mmsearch_index", verbosity=0)
print(Photo.objects.search("photo 7", fields=["words"])[0].title)
"""


def test_the_extension_in_a_schema_of_its_own(site):
    with site.session() as session:
        session.execute("CREATE SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO PUBLIC")
        session.execute("CREATE EXTENSION vector SCHEMA extensions")
    refused = migrate(site, "words", role="mmsearch_owner", code=1)
    site.psql(re.search(r"Run: (ALTER ROLE .*?;)", refused)[1])
    site.manage("migrate", role="mmsearch_owner")
    site.psql(WRITES.format(key=KEY).replace("DELETE", "-- "), role="mmsearch_web")
    assert site.python(INDEXED, role="mmsearch_owner") == "photo 7\n"


def test_a_table_in_another_schema_with_a_name_to_be_quoted(site):
    with site.session() as session:
        session.execute("CREATE SCHEMA gallery; CREATE EXTENSION vector")
        session.execute('ALTER TABLE photos_photo SET SCHEMA gallery; ALTER TABLE gallery.photos_photo RENAME TO "Old"')
        before = site.schema()
        [initial] = site.folder.glob("photos/migrations/0001_*")
        initial.write_text(initial.read_text().replace("options={", "options={'db_table': '\"gallery\".\"Old\"',"))
        migrate(site, "words", table='"gallery"."Old"')
        assert site.python(INDEXED) == "photo 7\n"
        session.execute("""DELETE FROM gallery."Old" WHERE title = 'photo 7'""")
        assert len(marks(site)) == 1
        indexes = session.execute("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'").fetchall()
        assert indexes == [("gallery_Old_words_hnsw",)]
        migrate(site, table='"gallery"."Old"', then=["migrate mmsearch_django zero"])
        assert site.schema() == before
