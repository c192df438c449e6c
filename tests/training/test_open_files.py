"""The limit of open files follows the number of processes."""

import json
import subprocess
import sys

import pytest

from tests.errors import check_message

pytest.importorskip("resource")

CODE = """
import json, resource, sys
from mgm.errors import ConfigError
from mgm.training.open_files import allow_connections

own, most, processes = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (own, most))
try:
    allow_connections(processes)
    error = None
except ConfigError as refused:
    error = [refused.reason, refused.line]
print(json.dumps([resource.getrlimit(resource.RLIMIT_NOFILE)[0], error]))
"""


def limit(own, most, processes):
    """The limit of a process of its own after the call, and its error."""
    command = [sys.executable, "-c", CODE, str(own), str(most), str(processes)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


@pytest.mark.parametrize(
    ("own", "most", "processes", "expected"),
    [
        (256, 4096, 1000, 2512),
        (256, 2048, 1000, 2048),  # as far as the system allows
        (1024, 4096, 8, 1024),  # enough
        (2048, 2048, 1900, 2048),  # one connection to each
        (256, 256, 1, 256),  # alone
    ],
)
def test_the_limit_is_raised_if_it_has_to_be(own, most, processes, expected):
    assert limit(own, most, processes) == [expected, None]


def test_too_low_a_limit_of_the_system_is_an_error():
    own, (reason, line) = limit(256, 2048, 8000)
    assert (own, reason) == (256, "unsupported")
    check_message("open-files", line)
