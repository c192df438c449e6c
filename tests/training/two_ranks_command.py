"""One of two processes that run a command of mgm together: torchrun starts it for test_ranks.py.

Arguments: a folder for what each rank did, then those of `mgm`. It receives the paths of the judged videos, the step of the
checkpoint that is evaluated, and the number of features and of predictions that `mgm.embed`, `mgm.evaluate` and `mgm.predict`
returned.
"""

import os
import sys
import time
from pathlib import Path

import torch

import mgm
from mgm.commands import main
from mgm.data.loading.views import ViewSet
from mgm.evaluation import column_blocks
from mgm.training import load_checkpoint, results, resume, saving


def watch(folder: Path, rank: str) -> None:
    """Write what this rank does, and save checkpoints late: no other rank may depend on luck."""
    read, save = ViewSet.read, saving.write_checkpoint
    evaluate, embed, predict, hashed = mgm.evaluate, mgm.embed, mgm.predict, resume.fingerprint

    def watched(views, index, begin_item=None):
        with (folder / f"videos{rank}.txt").open("a") as file:
            file.write(f"{views.items[index].path}\n")
        return read(views, index, begin_item)

    def evaluated(run, *arguments, **options):
        (folder / f"step{rank}.txt").write_text(str(load_checkpoint(run)["position"]["step"]))
        found = evaluate(run, *arguments, **options)
        (folder / f"predictions{rank}.txt").write_text(
            f"{len(found.predictions.label)} {found.result.metric('top-1').value}"
        )
        return found

    def predicted(*arguments, **options):
        found = predict(*arguments, **options)
        (folder / f"predictions{rank}.txt").write_text(str(len(found.predictions)))
        return found

    def hashing(items):
        (folder / f"hashed{rank}.txt").touch()
        return hashed(items)

    def embedded(*arguments, **options):
        found = embed(*arguments, **options)
        (folder / f"features{rank}.txt").write_text(str(len(found.features)))
        return found

    def late(*arguments, **options):
        time.sleep(2)
        save(*arguments, **options)

    ViewSet.read, saving.write_checkpoint = watched, late
    mgm.evaluate, mgm.embed, mgm.predict = evaluated, embedded, predicted
    for module in (resume, results, saving):
        module.fingerprint = hashing
    column_blocks._BLOCK_BYTES = 1  # a block for each group


if __name__ == "__main__":
    torch.set_num_threads(1)
    watch(Path(sys.argv.pop(1)), os.environ.get("RANK", "0"))
    main.run()
