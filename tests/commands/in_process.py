"""The command line in the test's own process: a new one takes seconds to import what a command needs."""

import io
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from mgm.commands.main import run


def here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Call `mgm` with these words."""
    out, errors, before = io.StringIO(), io.StringIO(), warnings.formatwarning
    argv = patch.object(sys, "argv", ["mgm", *map(str, arguments)])
    with argv, redirect_stdout(out), redirect_stderr(errors), warnings.catch_warnings():
        warnings.simplefilter("default")  # as in a new process; other tests raise them as errors
        status = 0
        try:
            run()
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            warnings.formatwarning = before
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), errors.getvalue())
