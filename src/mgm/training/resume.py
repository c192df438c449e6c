"""The folder and the state of a run: how a run begins, is saved, and resumes from its last checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mgm.data.items import VideoItem, common_folder, paths_of
from mgm.errors import ConfigError, DataError, ModelError
from mgm.files.atomic import cannot_write
from mgm.files.yaml_text import yaml_value
from mgm.printable import plural
from mgm.terminal import print_result
from mgm.training.checkpoint import load_checkpoint
from mgm.training.checkpoint_folder import is_whole, read_about, read_checkpoint
from mgm.training.config import Config
from mgm.training.engine import Engine
from mgm.training.exchange import Exchange
from mgm.training.folder import (
    DECAY,
    LAST_CHECKPOINT,
    LOG_FILE,
    OTHER_OUT,
    RECIPE_FILE,
    Start,
    checkpoint_folders,
    find_checkpoint,
    run_of,
)
from mgm.training.log import RunHistory
from mgm.training.method import TrainingMethod
from mgm.training.recipe import flat_settings, parse_config
from mgm.training.recipe_file import LENGTHS
from mgm.training.run import TrainingRun
from mgm.training.step_lines import read_steps
from mgm.version import VERSION

# Keys of a section that may change without being named: how clips are read, when checkpoints are written and when a run gives up,
# on which no weight depends, and the length of the run.
_MAY_CHANGE = frozenset({
    "workers", "strategy", "read_timeout", "bad_share", "skip_limit",
    "trackers", "project", "pictures", "checkpoint_every", "checkpoint_minutes", "keep_last", "keep_every", "keep_best",
    *LENGTHS,
})  # fmt: skip

_DRAWS = 8
"""Last number of the seed of a rank's draws, which keeps it apart from other seeds of the run."""

# Keys that cannot change, and what depends on them. With another seed or batch, clips of the epoch would be missed or repeated.
_DEPENDS_ON = {
    "seed": "the place in the data",
    "batch": "the place in the data",
    "optimiser": "the state of the optimiser",
}


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """Everything that the next step depends on besides the weights, the optimiser and the data.

    Attributes:
        step: number of finished steps, which is also the number of the next one.
        failed: clips so far that could not be read.
        rng: torch's random state on the CPU; `device_rng` that of the GPU, or None: dropout and stochastic depth.
        guard: the state of `mgm.training.guard.StepGuard`.
        at_once: as `TrainingRun.at_once`: sums of other micro-batches round differently.
    """

    step: int
    failed: int
    rng: torch.Tensor
    device_rng: torch.Tensor | None
    guard: dict[str, Any] = field(default_factory=dict)
    at_once: int | None = None

    @classmethod
    def before(cls, step: int, run: TrainingRun, failed: int, guard: dict[str, Any] | None = None) -> TrainingState:
        """The state before a step, with the random states that it begins with.

        One process continues with its own. Of several each begins the step with states of its own, a function of seed, step and
        rank, so that dropout and stochastic depth are not the same on all of them.
        """
        if run.order.ranks > 1:
            numbers = [run.config.seed, step, run.order.rank, 0, _DRAWS]
            torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))
        return cls.now(step, failed, run.fabric.device, guard=guard, at_once=run.at_once)

    @classmethod
    def now(
        cls,
        step: int,
        failed: int,
        device: torch.device,
        *,
        guard: dict[str, Any] | None = None,
        at_once: int | None = None,
    ) -> TrainingState:
        """The state with the current random states."""
        rng = None
        if device.type == "cuda":
            rng = torch.cuda.get_rng_state(device)
        elif device.type == "mps":
            rng = torch.mps.get_rng_state()
        return cls(step, failed, torch.get_rng_state(), rng, guard or {}, at_once)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingState:
        """The inverse of `to_dict`."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    def restore(self, device: torch.device) -> None:
        """Set the random states. A run that started on a CPU has none for a GPU."""
        torch.set_rng_state(self.rng)
        if device.type == "cuda" and self.device_rng is not None:
            torch.cuda.set_rng_state(self.device_rng, device)
        elif device.type == "mps" and self.device_rng is not None:
            torch.mps.set_rng_state(self.device_rng)


def begin_run(run: TrainingRun, engine: Engine, history: RunHistory, start: Start) -> TrainingState:
    """Begin where `start` says: anew, at the newest checkpoint of the folder, or at that of another run.

    Raises:
        ConfigError: the checkpoint belongs to another run.
        DataError: it belongs to a run on other videos.
        ModelError: it is damaged, and there is no earlier one.
        FileError: the folder cannot be written.
    """
    path, content = _find(run.out, start) if run.fabric.is_global_zero else (None, None)
    path = run.fabric.broadcast(path)
    if path is None:
        if run.fabric.is_global_zero:
            _make_folder(run)
        return TrainingState.before(0, run, failed=0)
    content = content or load_checkpoint(path)
    _check_same(run, path, content, engine.method, start)
    if run.fabric.is_global_zero:
        _take_over(run, path, content)
    return _restore(run, engine, history, content)


def _find(out: Path, start: Start) -> tuple[Path | None, dict[str, Any] | None]:
    """The checkpoint to begin at, and its content; (None, None) to begin anew."""
    if find_checkpoint(out) is not None:
        return _newest_whole(out)
    if start.extend is not None:
        path = before_decay(start.extend)
        return path, load_checkpoint(path)
    if not isinstance(start.resume, Path):
        return None, None
    found = find_checkpoint(start.resume)
    assert found is not None  # `run_folder` has checked it
    return found, load_checkpoint(found)


def _newest_whole(out: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of a run that is whole, and its content.

    A damaged one is renamed, so that it never takes the place of the one before it.
    """
    folders = checkpoint_folders(out)
    if not folders:
        return out / LAST_CHECKPOINT, load_checkpoint(out)
    for path, before in zip_longest(folders, folders[1:]):
        try:
            return path, read_checkpoint(path)
        except ModelError as error:
            # A whole one that cannot be read now, for want of memory or of its disk, is not set aside.
            if error.reason != "malformed" or before is None or is_whole(path):
                raise
            aside = path.with_name(path.name.replace("step", "damaged"))
            try:
                path.replace(aside)
            except OSError as refusal:
                raise cannot_write(path, refusal) from refusal
            print_result(
                f"{error.subject}: {error.statement}; {path.name} is {aside.name} now, and {before.name} is used"
            )
    raise AssertionError  # the last one was returned or raised


def before_decay(path: Path) -> Path:
    """The checkpoint of a run from which it can be lengthened: that at the start of its decay, or the newest one before.

    Raises:
        ConfigError: its decay has begun, and that checkpoint is gone.
    """
    found = find_checkpoint(path)
    assert found is not None  # `run_folder` has checked it
    kept = [folder for folder in checkpoint_folders(path) if read_about(folder).get("kept") == DECAY]
    return kept[0] if kept else found


def _take_over(run: TrainingRun, path: Path, content: dict[str, Any]) -> None:
    """Write what the run's folder has to contain: for a run that branches off another one, its log so far; its settings."""
    try:
        if run_of(path).resolve() != run.out.resolve():
            lines = read_steps(run_of(path) / LOG_FILE, content["position"]["step"]).values()
            (run.out / LOG_FILE).write_bytes(b"".join(line.text + b"\n" for line in lines))
            print_result(f"{run.out}: continues {path}")
        run.config.save(run.out / RECIPE_FILE)
    except OSError as error:
        raise cannot_write(run.out, error, OTHER_OUT) from error


def _restore(run: TrainingRun, engine: Engine, history: RunHistory, content: dict[str, Any]) -> TrainingState:
    """Restore weights, optimiser, random states and history from the content of a checkpoint."""
    before = content["data"]["ranks"]
    if before != run.order.ranks:
        print_result(
            f"{run.out}: resuming on {plural(run.order.ranks, 'device')} (started on {before}): the same clips and masks, "
            "but other draws of dropout and mixing"
        )
    if content.get("version", VERSION) != VERSION:
        print_result(f"{run.out}: was written by mgm {content['version']}, this is {VERSION}")
    engine.load(content)
    state = TrainingState.from_dict(content["position"])
    state.restore(run.fabric.device)
    state = replace(TrainingState.before(state.step, run, state.failed, state.guard), at_once=state.at_once)
    history.bad.update(content["bad"])
    missing = history.read(run.out, state.step)
    if missing:
        print_result(
            f"{run.out / LOG_FILE}: lacks {missing} of the {state.step} steps; the run does not depend on them"
        )
    return state


def _make_folder(run: TrainingRun) -> None:
    try:
        run.out.mkdir(parents=True, exist_ok=True)
        (run.out / LOG_FILE).write_text("", encoding="utf-8")
        run.config.save(run.out / RECIPE_FILE)
    except OSError as error:
        raise cannot_write(run.out, error, OTHER_OUT) from error


def _check_same(run: TrainingRun, path: Path, content: dict[str, Any], method: TrainingMethod, start: Start) -> None:
    """Raise ConfigError or DataError if a run cannot begin at a checkpoint. Prints the settings that changed."""
    _check_settings(run, parse_config(content["config"], str(path)), start, of=run_of(path))
    done, steps, decay = content["position"]["step"], run.schedule.steps, run.schedule.decay_start
    if start.extend is not None and run_of(path).resolve() != run.out.resolve() and (decay is None or decay < done):
        found = (
            "its schedule has no decay that can start later"
            if decay is None
            else f"begins its decay after {decay} steps"
        )
        expected = "schedule wsd" if decay is None else f"at least {done}, those of {path}"
        raise ConfigError(
            run.out, found, expected, "set schedule=wsd and a length that is long enough", reason="conflict"
        )
    if start.extend is not None and run.section == "pretrain" and not run.config.mask.ratios.is_constant:
        raise ConfigError(
            "mask.ratio_schedule",
            f"found {run.config.mask.ratio_schedule} in a run that extends another, whose mask ratios depend on its length",
            "constant",
            f"start the longer run from its first step, or {OTHER_OUT}",
            reason="conflict",
        )
    if done > steps:
        found = f"has made {done} steps"
        raise ConfigError(path, found, f"at most {steps}, the length of this run", OTHER_OUT, reason="mismatch")
    for key, value in method.describe().items():
        if content.get(key) != value:
            found = f"its run is of another kind: {key} was {content.get(key)}, now {value}"
            raise ConfigError(run.out, found, advice=OTHER_OUT, reason="mismatch")
    if "data" not in content:
        raise ConfigError(
            run.out,
            "its run was started by an earlier version of mgm, which ordered the videos differently",
            advice=f"finish it with that version, or {OTHER_OUT}",
            reason="unsupported",
        )
    before = content["data"]["fingerprint"]
    other = Exchange(run.fabric).from_first(lambda: describe_change(before, run.clips.items))  # seconds for millions
    if other is not None:
        found = f"its run was started on a different set of videos: {other}"
        raise DataError(run.out, found, advice=f"restore the set, or {OTHER_OUT}", reason="mismatch")


def _check_settings(run: TrainingRun, before: Config, start: Start, *, of: Path) -> None:
    """Raise ConfigError for settings that differ from those of the checkpoint and may not; print those that may."""
    old, new = flat_settings(before), flat_settings(run.config)
    known = _names(run.config.model_dump(mode="json")) | old.keys()
    unknown = sorted(start.change - known)
    if unknown:
        expected = "names as in config.yaml, such as data.crop"
        raise ConfigError.not_one_of("change", f"unknown setting {unknown[0]}", unknown[0], known, expected)
    differing = sorted(key for key in old | new if old.get(key) != new.get(key))
    shown = {key: f"{key} was {_written(old, key)}, is {_written(new, key)}" for key in differing}
    named = [key for key in differing if any(_within(key, name) for name in start.change)]
    for key in named:
        if (depends := _DEPENDS_ON.get(key.rpartition(".")[2])) is not None:
            found = f"{shown[key]}, on which {depends} depends"
            raise ConfigError("change", found, f"{key} as it was", f"keep it, or {OTHER_OUT}", reason="unsupported")
    fixed = [key for key in differing if key not in named and key.partition(".")[2] not in _MAY_CHANGE]
    if fixed:
        change = f"name those to change, --change {','.join(fixed)}, "
        if any(key.rpartition(".")[2] in _DEPENDS_ON for key in fixed):
            change = ""
        advice = f"resume with its own settings, --recipe {of / RECIPE_FILE}, {change}or {OTHER_OUT}"
        found = f"its run has other settings: {'; '.join(shown[key] for key in fixed)}"
        raise ConfigError(of, found, advice=advice, reason="mismatch")
    for line in shown.values():
        print_result(f"changed: {line}")


def _written(settings: Mapping[str, Any], key: str) -> str:
    """The value of a setting as a recipe spells it. An option of the mask can be absent."""
    return yaml_value(settings[key]) if key in settings else "not set"


def _within(key: str, name: str) -> bool:
    """Whether a name means a setting: its own, or that of its section."""
    return key == name or key.startswith(f"{name}.")


def _names(tree: dict[str, Any], prefix: str = "") -> set[str]:
    """The dotted names of all settings and sections."""
    below = (_names(value, f"{prefix}{key}.") for key, value in tree.items() if isinstance(value, dict))
    return {f"{prefix}{key}" for key in tree}.union(*below)


def fingerprint(items: Sequence[VideoItem]) -> torch.Tensor:
    """One hash per item, int64 (N,): of its path below the common folder, its label, and its first and last frame.

    A resumed run reads the same samples only if all hashes are equal. The common folder may move.
    """
    above = common_folder(paths_of(items))

    def digest(item: VideoItem) -> int:
        """The hash of an item, a signed integer of 64 bits."""
        content = f"{item.path[above:]}\0{item.label}\0{item.start}\0{item.end}"
        found = hashlib.blake2b(content.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(found, "little", signed=True)

    return torch.from_numpy(np.fromiter(map(digest, items), np.int64, len(items)))


def describe_change(before: torch.Tensor, items: Sequence[VideoItem]) -> str | None:
    """Summary of the changes since a set had the fingerprint `before`; None if it did not change."""
    now = fingerprint(items)
    if torch.equal(before, now):
        return None
    old, new = set(before.tolist()), set(now.tolist())
    added = [item.path for item, number in zip(items, now.tolist(), strict=True) if number not in old]
    if not added and old == new:
        return f"the same {len(now)} videos in another order"
    example = f" (such as {added[0]})" if added else ""
    return f"{len(before)} videos then, {len(now)} now: {len(old - new)} of them missing or changed, {len(added)} new{example}"
