"""A run's folder: begun, gone on with, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from mgm.data.fingerprint import describe_change, fingerprint
from mgm.errors import ConfigError, DataError
from mgm.training.checkpoint import LAST, load_checkpoint, save_checkpoint
from mgm.training.config import Config, parse_config
from mgm.training.log import LOG, History, Log
from mgm.training.method import Method
from mgm.training.position import Position
from mgm.training.run import Run
from mgm.training.trouble import write_bad_videos

CONFIG_FILE = "config.yaml"

HARMLESS = frozenset(
    {"data.workers", "data.read_timeout", "data.bad_share", "pretrain.checkpoint_every", "finetune.checkpoint_every"}
)
"""Settings that may change when a run goes on: no batch and no weight depends on them."""


def check_folder(out: Path, *, resume: bool) -> None:
    """Refuse a folder before anything is read for it.

    Raises:
        ConfigError: it holds a run, or files of somebody else that a run would overwrite; or it is none.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: found a file, expected the folder of a run; give another --out")
    if (out / LAST).exists() and not resume:
        raise ConfigError(f"{out}: holds a run already; go on with it with --resume, or give another --out")
    if (out / CONFIG_FILE).exists() and not ((out / LOG).exists() or (out / LAST).exists()):
        raise ConfigError(
            f"{out}: holds a {CONFIG_FILE} that belongs to no run and would be overwritten; give another --out"
        )


def begin(method: Method, run: Run, fabric: Fabric, history: History, *, resume: bool) -> Position:
    """Make the run's folder, or read the checkpoint in it. Returns where to begin.

    Raises:
        ConfigError: as `check_folder`; or it holds another run. DataError: a run on other videos.
    """
    check_folder(run.out, resume=resume)
    if not (run.out / LAST).exists():
        if fabric.is_global_zero:
            try:
                run.out.mkdir(parents=True, exist_ok=True)
                (run.out / LOG).write_text("", encoding="utf-8")
                run.config.save(run.out / CONFIG_FILE)
            except OSError as error:
                raise ConfigError(f"{run.out}: cannot be written to ({error}); give another --out") from error
        return Position.now(0, 0, fabric.device)
    content = load_checkpoint(run.out / LAST)
    _check_same(content, method, run)
    if content["data"]["ranks"] != run.order.ranks:
        fabric.print(
            f"{run.out}: goes on on {run.order.ranks} devices, begun on {content['data']['ranks']}: the clips and masks stay the "
            "same, the draws of dropout and mixing do not"
        )
    method.module.load_state_dict(content["model"])
    method.optimiser.load_state_dict(content["optimiser"])
    fabric.strategy.precision.load_state_dict(content["precision"])
    position = Position.from_dict(content["position"])
    position.restore(fabric.device)
    history.bad.update(content["bad"])
    history.read(run.out, position.step)
    return position


def save(method: Method, run: Run, fabric: Fabric, position: Position, logger: Log) -> None:
    """Bring weights, position and log to the disk."""
    logger.flush()
    if not fabric.is_global_zero:
        return
    save_checkpoint(
        run.out / LAST,
        {
            **method.describe(),
            "position": position.to_dict(),
            "config": run.config.model_dump(mode="json"),
            "model": method.module.state_dict(),
            "optimiser": method.optimiser.state_dict(),
            "precision": fabric.strategy.precision.state_dict(),  # the scale of 16-bit gradients
            "bad": dict(logger.history.bad),
            "data": _data_state(run, position.step),
        },
    )
    write_bad_videos(run.out, logger.history)


def _check_same(content: dict[str, Any], method: Method, run: Run) -> None:
    """Raise ConfigError or DataError where a checkpoint is not of this very run."""
    other = _differences(parse_config(content["config"], str(run.out / LAST)), run.config)
    if other:
        raise ConfigError(
            f"{run.out}: its run has other settings, so it cannot go on: {other}; "
            f"give the settings that it had, as --recipe {run.out / CONFIG_FILE} does, or another --out"
        )
    for key, value in method.describe().items():  # a pretraining is no fine-tuning, nor one of other classes
        if content.get(key) != value:
            raise ConfigError(
                f"{run.out}: its run cannot go on as this one: {key} was {content.get(key)}, is {value}; give another --out"
            )
    if "data" not in content:
        raise ConfigError(
            f"{run.out}: its run was begun by an earlier version of mgm, which took the videos in another order, so it cannot go "
            "on exactly; finish it with that version, or give another --out"
        )
    changed = describe_change(content["data"]["fingerprint"], run.items)
    if changed is not None:
        raise DataError(
            f"{run.out}: its run cannot go on with another set of videos: {changed}; bring the set back, or give another --out"
        )


def _differences(before: Config, now: Config) -> str:
    old, new = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    names = sorted(key for key in old | new if old.get(key) != new.get(key) and key not in HARMLESS)
    return "; ".join(f"{name} was {old.get(name)}, is {new.get(name)}" for name in names)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _data_state(run: Run, step: int) -> dict[str, Any]:
    """Where the stream of samples stands, and what it is made of: with the configuration all that the next batches depend on."""
    epoch, index = run.order.place(step)
    return {
        "epoch": epoch,
        "index": index,
        "seed": run.order.seed,
        "ranks": run.order.ranks,
        "fingerprint": fingerprint(run.items),
    }
