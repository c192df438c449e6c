"""`mgm explore`"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from mgm.commands.next_command import suggest
from mgm.terminal import Activity, note, print_result


def explore(
    where: Annotated[
        str | None,
        typer.Argument(metavar="[VIDEO|SET]", help="A folder of videos, a video, or a set. Default: uploads only."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run of 'mgm pretrain': also show its reconstruction and attention, and a map of embeddings."
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port. Default: the first free one from 8420 on.", min=0, max=65535)
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Beyond 127.0.0.1, everybody with the token can watch the videos.")
    ] = "127.0.0.1",
    upload_mb: Annotated[int, typer.Option(help="Largest upload in MB.", min=1)] = 100,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Explore motion and masks of your videos on a local web page.

    mgm explore videos/

    Works offline and, without --run, without torch. Ctrl-C ends it; uploads are then removed.
    """
    with ExitStack() as starting:
        starting.enter_context(Activity("starting the explorer"))
        from mgm.explore.library import Limits
        from mgm.explore.serve import explore as serve

        def announce(address: str) -> None:
            """Show the address once the server listens."""
            starting.close()
            print_result(address)
            note("open this address in a browser; Ctrl-C ends the explorer")

        try:
            serve(
                where,
                run=run,
                host=host,
                port=port,
                open_browser=browser,
                limits=Limits(upload_bytes=upload_mb * 2**20),
                announce=announce,
            )
        except KeyboardInterrupt:
            note("the explorer has ended; uploads are removed")
    suggest("mgm", "preview", where or "VIDEO", "--masks", "all")
