import subprocess
import sys

import pytest

CODE = """
import resource, torch
from mgm.data.loading.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
assert keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_reused():
    """Ten tensors of 40 MB, one after the other, need ten times their pages; with kept memory they need no new pages."""
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    assert after < 0.1 * before
