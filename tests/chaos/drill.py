"""The drill: ``python -m tests.chaos.drill --seconds 180 --seed 7`` beside nothing else.

For so many seconds threads write by all routes while workers are killed, Postgres and Redis restarted, and the storage
goes away; then all is left in peace, until nothing is pending. Exits with 1 and says what is untrue, if anything is.
"""

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import django

from tests.chaos.servers import Postgres, Redis, Worker, dice

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.chaos.settings"
PATIENCE_SECONDS = 60
"""As long as something ends within this time, what is left is waited for."""


class Drill:
    def __init__(self, folder, postgres, seconds, seed, most):
        self.dice = dice(seed, "drill")
        self.end = time.monotonic() + seconds
        self.done = Counter()
        self.redis = Redis(folder)
        self.workers = [Worker(number, folder, dice(seed, "worker", number)) for number in range(2)]
        self.postgres, self.media, self.most, self.seed = postgres, folder / "media", most, seed

    def run(self):
        from tests.chaos.writers import files, one_of_each

        names = files()
        one_of_each(names, self.most)
        threads = [threading.Thread(target=self.write, args=(dice(self.seed, n), names)) for n in range(3)]
        for thread in threads:
            thread.start()
        while time.monotonic() < self.end:
            self.fault()
            until = time.monotonic() + self.dice.uniform(0, 3)
            while time.monotonic() < until:
                self.keep()
                time.sleep(0.2)
        for thread in threads:
            thread.join()

    def keep(self):
        for worker in self.workers:
            worker.keep()

    def write(self, dice, names):
        """Until the end, with a site's own retries where the database is away."""
        from django.db import Error, connection

        from tests.chaos.writers import Writers

        writers = Writers(dice, names, self.most)
        while time.monotonic() < self.end:
            try:
                self.done[writers.act()] += 1
            except Error as error:
                self.done[f"lost to {type(error).__name__}"] += 1
                connection.close()
                time.sleep(0.1)
            time.sleep(dice.uniform(0, 0.05))
        connection.close()

    def fault(self):
        fault = self.dice.choice([self.kill, self.kill, self.kill, self.stop_postgres, self.stop_redis, self.away])
        self.done[fault.__name__] += 1
        fault()

    def kill(self):
        self.dice.choice(self.workers).kill()

    def stop_postgres(self):
        self.postgres.restart(self.dice.choice(["immediate", "fast"]), self.dice.uniform(0, 1))

    def stop_redis(self):
        self.redis.restart(self.dice.uniform(0, 2))

    def away(self):
        (self.media / "away").touch()
        time.sleep(self.dice.uniform(0, 1))
        (self.media / "away").unlink()

    def rest(self):
        """Leave all in peace until nothing is pending. Returns what is left, and the seconds that it took."""
        from django.db import connection

        from tests.chaos import truth

        connection.close()  # It was opened before the last restart.
        start = moved = time.monotonic()
        left = fewest = truth.pending()
        while any(left.values()) and time.monotonic() < moved + PATIENCE_SECONDS:
            self.keep()
            time.sleep(0.5)
            left = truth.pending()
            if sum(left.values()) < sum(fewest.values()):
                moved, fewest = time.monotonic(), left
        return {name: count for name, count in left.items() if count}, time.monotonic() - start

    def close(self):
        for worker in self.workers:
            worker.close()
        self.redis.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--assets", type=int, default=5000)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *caught: sys.exit(1))  # What it started ends with it.
    folder = Path(os.environ["TEST_DATA"])
    postgres = Postgres(folder / "postgres")
    os.environ["DATABASE_URL"] = postgres.server.url
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:  # So that a crash loses nothing that was committed.
        cursor.execute("ALTER DATABASE postgres SET synchronous_commit = on")
    connection.close()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from tests.chaos import site, truth

    site.app.set_default()
    drill = Drill(folder, postgres, options.seconds, options.seed, options.assets)
    try:
        drill.run()
        left, seconds = drill.rest()
        ends, wrong = truth.ends(), truth.untruths()
    finally:
        drill.close()
        postgres.close()
    print(dict(sorted(drill.done.items())))
    print(ends)
    print(f"quiet after {seconds:.0f} s; left: {left}; {len(wrong)} untrue", *wrong[:30], sep="\n")
    sys.exit(bool(left or wrong))


if __name__ == "__main__":
    main()
