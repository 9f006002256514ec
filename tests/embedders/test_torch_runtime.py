import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from mmsearch_django.embedders.torch_runtime import torch_with

torch = torch_with(2)
numbers = torch.ones(2000, 2000)
numbers.exp().sum()
child = os.fork()
if child == 0:
    numbers.exp().sum()
    sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_of_a_process_that_has_run_it_on_threads_can_run_it():
    """Without a guard it waits for ever."""
    pytest.importorskip("torch")
    assert subprocess.run([sys.executable, "-c", SCRIPT], timeout=60, check=False).returncode == 7
