"""The end of several processes that train together when one of them ends: each has an error that says which one, and what to do."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mgm.errors import ModelError
from mgm.terminal import print_error
from mgm.training.exchange import Exchange
from mgm.training.signals import ignore_requests

_INTACT: Final = "checkpoints are intact: continue with the same command and --resume auto"


@contextmanager
def ending_together(exchange: Exchange, out: Path, step: Callable[[], int]) -> Iterator[None]:
    """End by an error that names the process that ended first, if this one waits for it in the block.

    Backends report a lost process by a RuntimeError like any other. The reason of this process is left for the others.

    Args:
        out: the folder of the run. step: returns the number of the current step.

    Raises:
        DataError: another process has ended. ModelError: this one has, or it is not known which; the traceback is shown. Both
            have the reason "crashed".
    """
    try:
        yield
    except Exception as error:
        if exchange.count == 1:
            raise
        ignore_requests()  # the launcher asks all processes to end as soon as one has
        lost = exchange.lost_process(f"in step {step()}") if isinstance(error, RuntimeError) else None
        if lost is not None:
            raise lost.about(out).advising(_INTACT) from error
        exchange.leave(error)
        if not isinstance(error, RuntimeError):
            raise
        print_error("".join(traceback.format_exception(error)))
        raise ModelError(
            out,
            f"process {exchange.rank} of {exchange.count} stopped in step {step()} by the error above",
            advice=f"if another process ended before it, the output of that one has the reason; {_INTACT}",
            reason="crashed",
        ) from error
