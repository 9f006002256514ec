"""Our own tables: marks, states, spaces, lanes, examples and judgements. Vectors are in tables of embedding fields."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Space(models.Model):
    """One row for each embedding field: what made its vectors, where noise begins, and the sweep's place and time."""

    id = models.PositiveIntegerField(primary_key=True)
    model = models.CharField(max_length=200)
    field = models.CharField(max_length=200)
    signature = models.TextField(blank=True, default="", db_default="")
    preprocessing = models.PositiveSmallIntegerField(null=True)
    # Calibrations by kind of query (text, image), and the number of vectors that they were learnt from.
    floors = models.JSONField(default=dict, db_default={})
    sweep_cursor = models.TextField(blank=True, default="", db_default="")
    swept_at = models.DateTimeField(null=True)
    # Of a field that replaces another: searches by the other's name ask this one. Of any other it means nothing.
    serves = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "field"], name="mmsearch_space_unique")]

    def __str__(self) -> str:
        return f"{self.model}.{self.field}"


class Mark(models.Model):
    """Appended by triggers: this object may have changed or gone. An empty object id means all of them.

    ``live`` tells a person's write from a bulk load: only its order in the queue depends on it.
    """

    space = models.ForeignKey(Space, models.DO_NOTHING, db_constraint=False, db_index=False)
    object_id = models.TextField(null=True)  # noqa: DJ001 - '' could be somebody's key
    live = models.BooleanField(default=True, db_default=True)
    marked_at = models.DateTimeField(db_default=Now())

    class Meta:
        # No unique index: writers must never wait for one another here.
        indexes = [
            models.Index(fields=["space", "object_id"], name="mmsearch_mark_object"),
            # What people write is found among the marks of a bulk load, which pay nothing for it.
            models.Index(fields=["space"], condition=models.Q(live=True), name="mmsearch_mark_live"),
        ]

    def __str__(self) -> str:
        return f"{self.space_id} {self.object_id or 'all'}"


class State(models.Model):
    """How far the embedding of one object by one field has come."""

    class Status(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"
        SKIPPED = "skipped"

    space = models.ForeignKey(Space, models.DO_NOTHING, db_constraint=False, db_index=False)
    object_id = models.TextField()
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING, db_default=Status.PENDING)
    # Taken from the table's own sequence at each change, so that no two changes ever share one: a worker writes only
    # if it still finds the generation that it claimed.
    generation = models.BigIntegerField()
    live = models.BooleanField(default=True, db_default=True)
    # Claims that have not ended yet, one more if their worker died; and ends that were worth another try.
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    retries = models.PositiveSmallIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    error_class = models.CharField(max_length=100, blank=True, default="", db_default="")
    message = models.TextField(blank=True, default="", db_default="")
    fingerprint = models.BinaryField(max_length=32, null=True)
    changed_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["space", "object_id"], name="mmsearch_state_unique")]
        indexes = [
            models.Index(
                "space",
                models.F("live").desc(),
                "changed_at",
                condition=models.Q(status="pending"),
                name="mmsearch_state_queue",
            ),
            models.Index("space", "error_class", condition=models.Q(status="failed"), name="mmsearch_state_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.space_id} {self.object_id}: {self.status}"


class Lane(models.Model):
    """How operators hold back one of the two lanes of an embedding field. Without a row nothing does.

    A table of its own, since workers write to it at every batch under a rate, and because a migration that adds columns
    to the spaces would wait for every open write of the site, and make all later ones wait behind it.
    """

    class Name(models.TextChoices):
        LIVE = "live"
        BACKFILL = "backfill"

    space = models.ForeignKey(Space, models.DO_NOTHING, db_constraint=False, db_index=False)
    name = models.CharField(max_length=8, choices=Name)
    paused = models.BooleanField(default=False, db_default=False)
    # Objects a minute, and until when what they allow is spent: both null without a rate.
    per_minute = models.PositiveIntegerField(null=True)
    spent_until = models.DateTimeField(null=True)
    # Times of the day in the site's time zone, over midnight where the second is earlier; both null at any time.
    opens_at = models.TimeField(null=True)
    closes_at = models.TimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["space", "name"], name="mmsearch_lane_unique")]

    def __str__(self) -> str:
        return f"{self.space_id} {self.name}"


class Example(models.Model):
    """A picture that someone searches by: its vectors by signature, and the picture made small, until it expires."""

    digest = models.CharField(max_length=64, unique=True)
    vectors = models.JSONField(default=dict)
    picture = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"picture {self.digest[:12]}"


class Judgement(models.Model):
    """Whether one person finds an object relevant to a text that it was searched by. One each; the newest stays."""

    class Grade(models.IntegerChoices):
        NOT_RELEVANT = 0
        RELEVANT = 1

    model = models.CharField(max_length=200)
    # As searches normalise it; unique by its digest, since a long text does not fit into an index.
    text = models.TextField()
    digest = models.CharField(max_length=64)
    object_id = models.TextField()
    grade = models.SmallIntegerField(choices=Grade)
    # Null once the person is gone: several such rows are several people. Without a constraint in the database, because
    # ours may be another one than that of the users.
    judge = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_constraint=False
    )
    judged_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "digest", "object_id", "judge"], name="mmsearch_judgement_unique")
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.object_id} for {self.text!r}: {self.get_grade_display()}"
