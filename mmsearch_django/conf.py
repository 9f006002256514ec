"""The settings: one dict, ``MMSEARCH``, read each time a value is asked for.

``override_settings(MMSEARCH={...})`` therefore works, and nothing is written into Django's settings.
"""

from typing import Any

from django.conf import settings

# What a site with Celery adds to its CELERY_BEAT_SCHEDULE: the sweep, which finds what no trigger told and starts
# workers for what is pending. Raw SQL waits for it, writes through the ORM do not.
BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "mmsearch-sweep": {"task": "mmsearch_django.tasks.sweep", "schedule": 15.0, "options": {"expires": 15}},
}


class Settings:
    """Every key of ``MMSEARCH`` with its type, its default and the reason for it."""

    # Embedders by alias, as Django's CACHES: {"default": {"BACKEND": "dotted.path.ToClass",
    # "MODEL": "...", "REVISION": "...", "OPTIONS": {...}}}. Only BACKEND is required.
    # No default: which model a site trusts (and whose licence it accepts) is its own decision.
    EMBEDDERS: dict[str, dict[str, Any]] = {}

    # How deep each leg ranks. Pages agree because every leg ranks to this depth, never to the slice.
    DEPTH: int = 100

    # The Django cache that keeps query embeddings, and for how long (seconds). None embeds anew each time.
    QUERY_CACHE: str | None = "default"
    QUERY_CACHE_SECONDS: int = 3600

    # How long (seconds) an address with a picture to search by stays good.
    EXAMPLE_SECONDS: int = 7 * 24 * 3600

    # How many indexing tasks the sweep keeps going for each model while there is work.
    WORKERS: int = 2

    # Assets embedded together. Larger batches feed a GPU better and lose more when a worker dies. Quick
    # ones are claimed and written in multiples of it.
    BATCH_SIZE: int = 32

    # Seconds after which a claim whose worker went silent may be taken over by another. A worker that reads or embeds
    # renews its own, for ten minutes at most.
    LEASE_SECONDS: int = 60

    # Claims of one asset that may end without a result (its worker died) before it is set aside as failed.
    MAX_ATTEMPTS: int = 4

    # A file larger than this many bytes is refused before it is decoded.
    MAX_BYTES: int = 100 * 1024 * 1024

    # A picture with more pixels than this is refused from its header, before its pixels are decoded.
    MAX_PIXELS: int = 100_000_000

    # Files are decoded in a process of their own, so that one that kills it costs nothing but itself. Where False, and
    # on Windows, they are decoded where they are read, and the two limits below do not hold.
    SANDBOX: bool = True

    # What decoding one file may take: seconds by the clock, and bytes of memory with the 55 MB of the process itself.
    # The hungriest readers need 16 bytes a pixel: 1.6 GB for a WebP of MAX_PIXELS.
    DECODE_SECONDS: float = 30
    DECODE_MEMORY: int = 2 * 1024**3

    # How long (seconds) a storage may take to give one file. It is looked at between parts of the file: how long one
    # answer may take is for the storage's own settings.
    READ_SECONDS: float = 120

    def __getattribute__(self, name: str) -> Any:
        default = super().__getattribute__(name)
        if not name.isupper():
            return default
        return getattr(settings, "MMSEARCH", {}).get(name, default)

    def unknown_keys(self) -> list[str]:
        """Keys of the site's ``MMSEARCH`` that mean nothing here, for the system check."""
        return sorted(set(getattr(settings, "MMSEARCH", {})) - {n for n in vars(type(self)) if n.isupper()})


conf = Settings()
