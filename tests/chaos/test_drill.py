import os
import shutil
import subprocess
import sys

import pytest

SECONDS = os.environ.get("CHAOS_SECONDS", "8")
SEED = os.environ.get("CHAOS_SEED")
ENDS = ("ready", "skipped", *(f"failed {kind}" for kind in ("CorruptFile", "DecoderDied", "MissingFile", "WorkerDied")))


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_killing_anything_at_any_moment_changes_only_how_long_it_takes(tmp_path):
    """CHAOS_SECONDS=180 CHAOS_SEED=7 repeats a longer one; threads and processes still meet as they happen to."""
    # A worker's own reports about its sockets are not what is tested here.
    command = [sys.executable, "-W", "ignore", "-m", "tests.chaos.drill", "--seconds", SECONDS, "--assets", "200"]
    command += ["--seed", SEED] if SEED else []
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        command, env={**environment, "TEST_DATA": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    missing = [end for end in ENDS if f"'{end}'" not in said]
    assert not missing, f"Nothing ended as {missing}: the drill shows nothing of it.\n{said}"
