"""Nothing dies with its process: a site is written to by every route while all that it runs on is killed.

CHAOS_SECONDS (12) says for how long, CHAOS_KEYS (300) how many assets there can be, CHAOS_SEED which chance,
CHAOS_LEASE (3) how long leases are.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from random import Random

from tests.chaos.servers import Site

SECONDS = float(os.environ.get("CHAOS_SECONDS", 12))
KEYS = os.environ.get("CHAOS_KEYS", "300")
SEED = os.environ.get("CHAOS_SEED", str(time.time_ns() % 10**6))
RECOVERY_SECONDS = 120 + 10 * int(os.environ.get("CHAOS_LEASE", 3))
"""Leases of the deadly, four in a row, and second tries of a storage that was away."""


class Faults:
    """Each takes a moment, and heals by itself."""

    def __init__(self, site, redis, workers, random):
        self.site, self.redis, self.workers, self.random = site, redis, workers, random
        self.counts, self.due = Counter(), []
        self.all = [name for name in dir(self) if name.startswith(("kill_", "restart_", "freeze_", "lose_"))]

    def strike(self):
        """Each once, then each once more in another order."""
        if not self.due:
            self.due = self.random.sample(self.all, len(self.all))
        name = self.due.pop()
        self.counts[name] += 1
        getattr(self, name)()

    def worker(self):
        return self.random.choice(self.workers)

    def moment(self, most):
        time.sleep(self.random.uniform(0, most))

    def kill_worker_and_all_its_children(self):
        self.worker().kill()

    def kill_worker_and_leave_its_children(self):
        """It is started anew while they may still be at work."""
        process = self.worker().process
        process.kill()
        process.wait()

    def kill_child(self):
        self.worker().kill_child(self.random)

    def freeze_worker(self):
        """For longer than its leases: when it wakes, others have its claims."""
        worker = self.worker()
        worker.signal(signal.SIGSTOP)
        time.sleep(4)
        worker.signal(signal.SIGCONT)

    def restart_postgres(self):
        self.site.restart_postgres(self.random.choice(["fast", "immediate"]), self.random.uniform(0, 2))

    def restart_redis(self):
        self.redis.kill()
        self.moment(3)
        self.redis.start()

    def lose_storage(self):
        self.site.storage_away(True)
        self.moment(4)
        self.site.storage_away(False)


def test_whatever_is_killed_all_is_as_it_should_be_in_the_end(tmp_path):
    random = Random(SEED)
    with Site(tmp_path) as site:
        redis = site.redis()
        workers = [
            site.worker(redis.url, "--pool", "prefork", "-c", "2", "-B"),
            site.worker(redis.url, "--pool", "threads", "-c", "2"),
        ]
        faults = Faults(site, redis, workers, random)
        writers = site.start("-m", "tests.chaos.writers", SEED, str(SECONDS), KEYS, TEST_BROKER=redis.url)
        while writers.poll() is None:
            faults.strike()
            faults.moment(2)
            for worker in workers:
                worker.supervise()
        written = json.loads(writers.communicate()[0])
        truth = site.start("-m", "tests.chaos.truth", str(RECOVERY_SECONDS))
        while truth.poll() is None:
            time.sleep(0.1)
            for worker in workers:
                worker.supervise()
        found = json.loads(truth.communicate()[0])
        starts = [worker.starts for worker in workers]
        told = {"seed": SEED, **written, "faults": faults.counts, "starts": starts, "states": found["states"]}
        sys.stdout.write(json.dumps(told, indent=1))
        assert found["wrong"] == [], "\n".join([f"CHAOS_SEED={SEED}", *(worker.tail() for worker in workers)])
    assert {"failed WorkerDied", "failed DecoderDied"} <= found["states"].keys()
    assert len(faults.counts) >= 3
    assert sum(written["written"].values()) > 100
