"""`mgm doctor`"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgm.commands.next_command import new_folder, suggest
from mgm.errors import ConfigError
from mgm.terminal import Activity, print_result

if TYPE_CHECKING:
    from mgm.training.config import Run
    from mgm.training.replay import Replay, ReplayedStep

_MARKS = {"ok": "ok    ", "note": "note  ", "change": "CHANGE"}


def doctor(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE SET [SETTINGS]... | replay FILE]",
            help="Recipe and set of the run to check; or the replay.pt of a run that stopped.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run: the space on its disk is checked.")] = Path("runs"),
) -> None:
    """Check the machine, and whether a run can start here: versions, codecs, memory, videos, one step, disk. Or repeat the
    step at which a run stopped.

    mgm doctor

    mgm doctor mgm-vitb-ssv2 videos/ pretrain.batch=256

    mgm doctor replay runs/a/replay.pt

    The last line is "ready", or what to change, with exit status 1. It is also 1 if a repeated step has other numbers here.
    """
    match words or []:
        case ["replay", file]:
            _replay(Path(file))
        case []:
            _check(None)
        case [recipe, data, *settings] if recipe != "replay":
            _check((recipe, data, settings, out))
        case given:
            expected = "nothing, RECIPE SET, or replay FILE"
            raise ConfigError("doctor", f"found {' '.join(given)!r}", expected, reason="invalid_value")


def _check(asked: tuple[str, str, list[str], Path] | None) -> None:
    """Print the findings as they come, and what follows from them."""
    changes = []
    with Activity("checking") as activity:
        from mgm.training.config import RUNS
        from mgm.training.preflight import check_machine, check_run
        from mgm.training.recipe import load_config
        from mgm.training.recipe_file import read_recipe

        checks = check_machine()
        if asked is not None:
            recipe, data, settings, out = asked
            # a recipe of pretraining has the settings of its fine-tuning too
            kind: Run = "finetune" if read_recipe(recipe).tree.keys() & set(RUNS) == {"finetune"} else "pretrain"
            checks = chain(checks, check_run(load_config(recipe, settings), kind, data, out))
        for finding in checks:
            activity.rename(f"checked {finding.name}")
            print_result(f"{_MARKS[finding.verdict]} {finding.name}: {finding.found}")
            if finding.verdict == "note" and finding.advice:
                print_result(f"       {finding.advice}")
            if finding.verdict == "change":
                changes.append(finding)
    if not changes:
        print_result("ready")
        if asked is None:
            suggest("mgm", "recipes")
        else:
            command = ("pretrain",) if kind == "pretrain" else ("finetune", "RUN")
            folder = new_folder(out / Path(recipe).stem)
            suggest("mgm", *command, data, "--recipe", recipe, "--out", folder, *settings)
        return
    print_result(f"not ready; {len(changes)} to change:")
    for finding in changes:
        print_result(f"- {finding.name}: {finding.advice or finding.found}")
    raise typer.Exit(1)


def _replay(file: Path) -> None:
    with Activity("repeating the step"):
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
    clips, batches = sum(len(batch.index) for batch in saved.batches), len(saved.batches)
    lines = [
        f"step {saved.step} of a {kind} run: {saved.reason}",
        f"{clips} clips in {batches} micro-batch{'es' * (batches != 1)}, rank {saved.rank} of {saved.ranks}, {saved.precision} "
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
