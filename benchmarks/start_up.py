"""What ``django.setup()`` costs with the app and without, in processor time: ratios of medians, taken in turns.

python -m benchmarks.start_up
"""

import statistics
import subprocess
import sys

ROUNDS = 9
CODE = """
import sys, time
sys.modules.update(dict.fromkeys({absent!r}))
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.sessions", "django.contrib.messages", *{apps!r}],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.postgresql"}}}},
    MMSEARCH={{"EMBEDDERS": {{"default": {{"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder"}}}}}},
)
django.setup()
{more}
print(time.process_time())
"""
CELERY = ("celery", "kombu")
KINDS = {
    "Django alone": {"apps": [], "absent": CELERY, "more": ""},
    "with its libraries": {"apps": [], "absent": CELERY, "more": "import numpy, PIL.Image, pgvector.django"},
    "with mmsearch_django": {"apps": ["mmsearch_django"], "absent": CELERY, "more": ""},
    "with mmsearch_django and Celery": {"apps": ["mmsearch_django"], "absent": (), "more": ""},
}


def main() -> None:
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind, parts in KINDS.items():
            command = [sys.executable, "-c", CODE.format(**parts)]
            seconds[kind].append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    alone = statistics.median(seconds["Django alone"])
    for kind, took in seconds.items():
        print(f"{statistics.median(took) / alone:5.2f}  {kind}")


if __name__ == "__main__":
    main()
