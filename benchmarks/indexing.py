"""How fast pending rows are worked off, what search costs the site's own writes, and how much memory it takes.

    python -m benchmarks.indexing
    python -m benchmarks.indexing --only text pictures

Each part runs its contestants in turns and prints medians and ratios. README.md says what each part compares.
"""

import argparse
import os
from collections.abc import Callable, Iterator

import django
from django.conf import settings

DIMENSIONS = 1024


def parts() -> "dict[str, Callable[[argparse.Namespace], Iterator[str]]]":
    from benchmarks import loading, pictures, writes

    return {
        "text": loading.text,
        "pictures": pictures.pictures,
        "writes": writes.writes,
        "index": loading.index,
        "memory": loading.memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("text", "pictures", "writes", "index", "memory")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--rows", type=int, default=20_000, help="Texts.")
    parser.add_argument("--pictures", type=int, default=96, help="In each round.")
    parser.add_argument("--pending", type=int, default=100_000, help="Texts while memory is measured.")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ["BENCHMARK_DIMENSIONS"] = str(DIMENSIONS)
    settings.MMSEARCH["EMBEDDERS"]["default"] = {
        "BACKEND": "mmsearch_django.embedders.callable.CallableEmbedder",
        "MODEL": "made-up",
        "OPTIONS": {"texts": "benchmarks.loading.vectors", "dimensions": DIMENSIONS},
    }
    django.setup()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    for name, part in parts().items():
        if name in arguments.only:
            print("\n".join(["", f"{name}:", "", *part(arguments)]), flush=True)


if __name__ == "__main__":
    main()
