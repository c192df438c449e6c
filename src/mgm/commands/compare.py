"""`mgm compare`"""

from __future__ import annotations

from typing import Annotated

import typer

import mgm
from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson, Data, Groups, Settings, open_set
from mgm.printable import plural
from mgm.terminal import Activity, print_json, print_result


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="Run of 'mgm finetune', or several seeds: 'runs/a-*', or names separated by commas."
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The run, or the seeds, to compare with A.")],
    data: Data,
    settings: Settings = None,
    groups: Groups = None,
    as_json: AsJson = False,
) -> None:
    """Compare two classifiers on the same test videos: the gain of B over A, its interval and a verdict.

    mgm compare runs/tube runs/mgm videos/

    mgm compare 'runs/tube-*' 'runs/mgm-*' videos/ --groups '/(g[0-9]+)_'

    Runs that were evaluated on these videos with these settings are not evaluated again.
    """
    with Activity("reading videos") as activity:
        videos = open_set(data)
        gain = mgm.compare_runs(a, b, videos, overrides=tuple(settings or ()), groups=groups, progress=activity.rename)
    if as_json:
        print_json(gain.to_dict())
        return
    for name, runs in (("A", gain.before), ("B", gain.after)):
        several = f", {len(runs)} runs: {', '.join(f'{value:.1%}' for value in runs)}" if len(runs) > 1 else ""
        print_result(f"{name} {sum(runs) / len(runs):.1%}{several}")
    print_result(
        f"B - A {gain.value * 100:+.1f} points [{gain.low * 100:+.1f}, {gain.high * 100:+.1f}] ({gain.method}): {gain.verdict}"
    )
    low, high = gain.bootstrap
    test = "" if gain.p is None else f"McNemar's exact test p = {gain.p:.3g}; "
    print_result(f"{test}paired bootstrap of these runs [{low * 100:+.1f}, {high * 100:+.1f}]")
    state = "" if gain.videos == gain.expected else f": incomplete ({gain.videos:,} of {gain.expected:,})"
    print_result(f"{plural(gain.videos, 'video')}{state}")
    suggest("mgm", "results", *(str(run) for text in (a, b) for run in text.split(",")))
