"""Opens a run's model in a thread: importing PyTorch takes seconds, and the page is there before."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from mgm.explore.explorer import Explorer

if TYPE_CHECKING:
    import uvicorn

    from mgm.explore.model import RunPanels

_END_SECONDS = 10.0
"""Time that the end of the explorer gives to a run that is being opened: a thread cannot be ended."""


class RunOpener:
    """Opens a run for an explorer while its server runs in a `with` block, and ends the server if the run cannot be opened.

    Args:
        explorer: gets the run's panels; until then it is `opening`.
        server: serves the explorer.

    Raises:
        ModelError: there is nothing at the run's path.
    """

    def __init__(self, run: str | Path, explorer: Explorer, server: uvicorn.Server) -> None:
        if not Path(run).exists():
            _open_panels(run)  # raises its error before a page is opened
        self._run, self._explorer, self._server = run, explorer, server
        self._error: Exception | None = None
        self._thread = Thread(target=self._open, name="run", daemon=True)
        explorer.opening = True

    def __enter__(self) -> RunOpener:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the thread, and raise the error with which it ended."""
        self._thread.join(_END_SECONDS)
        if self._error is not None and kind is None:
            raise self._error

    def _open(self) -> None:
        try:
            self._explorer.panels = _open_panels(self._run)
            self._explorer.opening = False
        except Exception as error:  # raised at the end of the `with` block
            self._error = error
            self._server.should_exit = True


def _open_panels(run: str | Path) -> RunPanels:
    from mgm.explore.model import open_panels

    return open_panels(run)
