"""The folder and the state of a run: how a run begins, is saved, and resumes from its last checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from mgm.data.items import VideoItem, common_folder
from mgm.errors import ConfigError, DataError, ModelError
from mgm.files.atomic import cannot_write
from mgm.files.checksum import has_checksum, is_intact
from mgm.terminal import print_result
from mgm.training.checkpoint import load_checkpoint, save_checkpoint
from mgm.training.config import RUNS, Config
from mgm.training.folder import (
    DAMAGED_CHECKPOINT,
    LAST_CHECKPOINT,
    LOG_FILE,
    OTHER_OUT,
    PREVIOUS_CHECKPOINT,
    RECIPE_FILE,
)
from mgm.training.log import RunHistory, StepLog
from mgm.training.method import TrainingMethod
from mgm.training.recipe import parse_config
from mgm.training.run import TrainingRun

# No batch and no weight depends on these settings: they may change when a run resumes.
_MAY_CHANGE = frozenset(
    {"data.workers", "data.read_timeout", "data.bad_share"}
    | {f"{run}.{key}" for run in RUNS for key in ("checkpoint_every", "skip_limit")}
)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """Everything that the next step depends on besides the weights, the optimiser and the data.

    Attributes:
        step: number of finished steps, which is also the number of the next one.
        failed: clips so far that could not be read.
        rng: torch's random state on the CPU; `device_rng` that of the GPU, or None: dropout and stochastic depth.
        guard: the state of `mgm.training.guard.StepGuard`.
    """

    step: int
    failed: int
    rng: torch.Tensor
    device_rng: torch.Tensor | None
    guard: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def now(cls, step: int, failed: int, device: torch.device, guard: dict[str, Any] | None = None) -> TrainingState:
        """The state with the current random states."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(step, failed, torch.get_rng_state(), cuda, guard or {})

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


def begin_run(run: TrainingRun, method: TrainingMethod, history: RunHistory) -> TrainingState:
    """Start in a new folder, or resume from the checkpoint in it.

    Raises:
        ConfigError: the checkpoint belongs to another run.
        DataError: it belongs to a run on other videos.
        ModelError: it is damaged, and there is no earlier one.
        FileError: the folder cannot be written.
    """
    name, content = _newest_checkpoint(run) if run.fabric.is_global_zero else (None, None)
    name = run.fabric.broadcast(name)
    if name is None:
        if run.fabric.is_global_zero:
            _make_folder(run)
        return TrainingState.now(0, 0, run.fabric.device)
    path = run.out / name
    return _resume(run, method, history, path, content or load_checkpoint(path))


def _newest_checkpoint(run: TrainingRun) -> tuple[str | None, dict[str, Any] | None]:
    """The name and the content of the newest checkpoint that is whole; (None, None) if the folder has none.

    A damaged one is renamed, so that it never takes the place of the one before it.
    """
    last, previous = run.out / LAST_CHECKPOINT, run.out / PREVIOUS_CHECKPOINT
    if last.exists():
        try:
            return last.name, load_checkpoint(last)
        except ModelError as error:
            # A whole one that cannot be read now, for want of memory or of its disk, is not set aside.
            whole = error.reason != "malformed" or (has_checksum(last) and is_intact(last))
            if whole or not previous.exists():
                raise
            try:
                last.replace(run.out / DAMAGED_CHECKPOINT)
            except OSError as refusal:
                raise cannot_write(last, refusal) from refusal
            print_result(f"{last}: {error.statement}; it is {DAMAGED_CHECKPOINT} now, and {previous.name} is used")
    elif previous.exists():
        print_result(f"{last}: is missing; {previous.name} is used")
    else:
        return None, None
    return previous.name, load_checkpoint(previous)


def _resume(
    run: TrainingRun, method: TrainingMethod, history: RunHistory, path: Path, content: dict[str, Any]
) -> TrainingState:
    """Restore weights, optimiser, random states and history from the content of a checkpoint."""
    _check_same(run, path, content, method)
    before = content["data"]["ranks"]
    if before != run.order.ranks:
        print_result(
            f"{run.out}: resuming on {run.order.ranks} devices (started on {before}): the same clips and masks, but other "
            "draws of dropout and mixing"
        )
    method.module.load_state_dict(content["model"])
    method.optimiser.load_state_dict(content["optimiser"])
    run.fabric.strategy.precision.load_state_dict(content["precision"])
    state = TrainingState.from_dict(content["position"])
    state.restore(run.fabric.device)
    history.bad.update(content["bad"])
    missing = history.read(run.out, state.step)
    if missing:
        print_result(
            f"{run.out / LOG_FILE}: lacks {missing} of the {state.step} steps; the run does not depend on them"
        )
    return state


def save_run(run: TrainingRun, method: TrainingMethod, state: TrainingState, log: StepLog) -> None:
    """Write the log, the checkpoint and the list of unreadable videos. The checkpoint before stays, as `PREVIOUS_CHECKPOINT`."""
    try:
        log.flush()
    finally:  # the checkpoint is worth more than the log
        if run.fabric.is_global_zero:
            _save_checkpoint(run, method, state, log.history)
            log.history.write_bad_videos(run.out)


def _save_checkpoint(run: TrainingRun, method: TrainingMethod, state: TrainingState, history: RunHistory) -> None:
    epoch, index = run.order.place(state.step)
    content = {
        **method.describe(),
        "position": state.to_dict(),
        "config": run.config.model_dump(mode="json"),
        "model": method.module.state_dict(),
        "optimiser": method.optimiser.state_dict(),
        "precision": run.fabric.strategy.precision.state_dict(),  # the scale of 16-bit gradients
        "bad": dict(history.bad),
        # with the configuration, everything that the next batches depend on
        "data": {
            "epoch": epoch,
            "index": index,
            "seed": run.order.seed,
            "ranks": run.order.ranks,
            "fingerprint": fingerprint(run.clips.items),
        },
    }
    save_checkpoint(run.out / LAST_CHECKPOINT, content, previous=run.out / PREVIOUS_CHECKPOINT)


def _make_folder(run: TrainingRun) -> None:
    try:
        run.out.mkdir(parents=True, exist_ok=True)
        (run.out / LOG_FILE).write_text("", encoding="utf-8")
        run.config.save(run.out / RECIPE_FILE)
    except OSError as error:
        raise cannot_write(run.out, error, OTHER_OUT) from error


def _check_same(run: TrainingRun, path: Path, content: dict[str, Any], method: TrainingMethod) -> None:
    """Raise ConfigError or DataError if a checkpoint does not belong to this run."""
    changed = _changed_settings(parse_config(content["config"], str(path)), run.config)
    if changed:
        advice = f"resume with its own settings: --recipe {run.out / RECIPE_FILE}, or {OTHER_OUT}"
        raise ConfigError(run.out, f"its run has other settings: {changed}", advice=advice, reason="mismatch")
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
    other = describe_change(content["data"]["fingerprint"], run.clips.items)
    if other is not None:
        found = f"its run was started on a different set of videos: {other}"
        raise DataError(run.out, found, advice=f"restore the set, or {OTHER_OUT}", reason="mismatch")


def _changed_settings(before: Config, now: Config) -> str:
    old, new = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    names = sorted(key for key in old | new if old.get(key) != new.get(key) and key not in _MAY_CHANGE)
    return "; ".join(f"{name} was {old.get(name)}, is {new.get(name)}" for name in names)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def fingerprint(items: Sequence[VideoItem]) -> torch.Tensor:
    """One hash per item, int64 (N,): of its path below the common folder, its label, and its first and last frame.

    A resumed run reads the same samples only if all hashes are equal. The common folder may move.
    """
    above = common_folder([item.path for item in items])
    hashes = []
    for item in items:
        content = f"{item.path[above:]}\0{item.label}\0{item.start}\0{item.end}"
        digest = hashlib.blake2b(content.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        hashes.append(int.from_bytes(digest, "little", signed=True))
    return torch.tensor(hashes, dtype=torch.int64)


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
