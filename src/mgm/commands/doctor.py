"""`mgm doctor`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgm.errors import ConfigError
from mgm.terminal import Activity, print_result

if TYPE_CHECKING:
    from mgm.training.replay import Replay, ReplayedStep


def doctor(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="replay FILE", help="Take the step in FILE again, at which a run stopped."),
    ] = None,
) -> None:
    """Find what is wrong with a run that stopped.

    mgm doctor replay runs/a/replay.pt

    Exit status 1 if the step cannot be reproduced.
    """
    match words or []:
        case ["replay", file]:
            _replay(Path(file))
        case _:
            raise ConfigError("doctor", f"found {' '.join(words or [])!r}", "replay FILE", reason="invalid_value")


def _replay(file: Path) -> None:
    with Activity("taking the step again"):
        from mgm.training.replay import replay_step

        replay = replay_step(file)
    for line in replay_lines(replay):
        print_result(line)
    if not replay.reproduced:
        raise typer.Exit(1)


def replay_lines(replay: Replay) -> list[str]:
    """What the file contains, what happens here, and what follows from both."""
    saved, again, exact = replay.saved, replay.again, replay.exact
    kind = "fine-tuning" if saved.is_finetuning else "pretraining"
    clips = sum(len(batch.index) for batch in saved.batches)
    lines = [
        f"step {saved.step} of a {kind} run: {saved.reason}",
        f"{clips} clips in {len(saved.batches)} micro-batches, rank {saved.rank} of {saved.ranks}, {saved.precision} "
        f"({saved.versions})",
        f"recorded  loss {saved.loss:.6g}, gradient norm {saved.gradient_norm:.6g}",
        f"here      {_numbers(again)}: {'reproduced' if replay.reproduced else 'NOT reproduced'}",
    ]
    if replay.bad_weights:
        lines.append(
            f"{len(replay.bad_weights)} weights are not finite before the step, such as {replay.bad_weights[0]}"
        )
    if again.output is not None:
        lines.append(f"the first output that is not finite: {again.output}")
    if again.gradient is not None:
        lines.append(f"the first gradient that is not finite, on the way back: at the output of {again.gradient}")
    if exact is not None:
        lines.append(f"in 32 bits {_numbers(exact)}")
    lines.append(_conclusion(replay))
    return lines


def _numbers(step: ReplayedStep) -> str:
    return f"loss {step.loss:.6g}, gradient norm {step.gradient_norm:.6g}"


def _conclusion(replay: Replay) -> str:
    if not replay.reproduced:
        return "this machine computes another step: suspect the other machine's memory, driver or versions"
    if replay.exact is not None and replay.exact.is_finite and not replay.again.is_finite:
        return "16 bits are the cause: set precision to 32-true, or clip_grad to 1"
    if replay.bad_weights:
        return "the weights are the cause: resume from an earlier checkpoint with a lower base_lr"
    if replay.again.is_finite:
        return "the step is finite, but its gradient explodes: look at its clips, lower base_lr, or set clip_grad to 1"
    return "the weights lead here in every precision: lower base_lr, set clip_grad to 1, or lengthen the warm-up"
