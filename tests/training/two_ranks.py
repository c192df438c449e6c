"""One of two processes that train together: torchrun starts it for test_ranks.py."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from mgm.data.annotations import VideoItem, VideoSet
from mgm.errors import FileError, MgmError
from mgm.models.attention import Residual
from mgm.training import load_config
from mgm.training.engine import Engine
from mgm.training.log import StepLog
from mgm.training.pretrain import pretrain
from mgm.training.run import TrainingRun


def end(how: str) -> None:
    """End this rank, in the middle of a step."""
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "refused":
        raise FileError("log.jsonl", "cannot be written (no space left)", reason="cannot_write")
    raise RuntimeError("a fault of its own")


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    share, steps, *settings = sys.argv[3:]
    torch.set_num_threads(1)
    videos = VideoSet(str(folder), tuple(VideoItem(str(p)) for p in sorted(folder.iterdir())), (), (), "")
    small = ["data.frames=4", "data.size=32", "data.memory=false", "data.workers=1", f"data.bad_share={share}"]
    small += ["model.size=debug", f"pretrain.steps={steps}", "pretrain.batch=4", "pretrain.warmup=1"]
    small += settings
    seen: list[int] = []
    batches = TrainingRun.batches

    def watched(run, first):
        for batch in batches(run, first):
            seen.extend(batch.keys[:, 1].tolist())
            yield batch

    TrainingRun.batches = watched
    write = StepLog.write
    drawn: list[list[float]] = []  # in each step, what stochastic depth multiplies the branches of each clip by
    skip = Residual._skip

    def watched_skip(block, branch):
        result = skip(block, branch)
        if block.training and block.drop_path:
            drawn[-1].extend((result / branch).flatten(1)[:, 0].tolist())
        return result

    Residual._skip = watched_skip

    def signalled(log, record):
        if os.environ["RANK"] == "1" and os.environ.get("SIGNALLED") == str(record.step):
            os.kill(os.getpid(), signal.SIGTERM)
        if os.environ.get("ENDED", "").startswith(f"{os.environ['RANK']} {record.step} "):
            end(os.environ["ENDED"].rpartition(" ")[2])
        write(log, record)
        drawn.append([])

    StepLog.write = signalled
    build, sharded = Engine.build, []

    def watched_engine(*arguments, **options):
        engine = build(*arguments, **options)
        sharded.append(any(isinstance(parameter, DTensor) for parameter in engine.method.module.parameters()))
        return engine

    Engine.build = watched_engine
    try:
        drawn.append([])
        trained = pretrain(videos, load_config("debug", small), out=out, resume=True, show_progress=False)
        result = {"bad": trained.history.bad, "losses": trained.history.losses}
    except MgmError as error:
        result = {"error": error.line, "reason": error.reason, "subject": error.subject}
    except SystemExit as ended:
        result = {"status": ended.code}
    rank = os.environ["RANK"]
    (out / f"rank{rank}.json").write_text(json.dumps({"seen": seen, "drawn": drawn, "sharded": sharded, **result}))


if __name__ == "__main__":
    main()
