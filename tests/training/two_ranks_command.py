"""One of two processes that run a command of mgm together: torchrun starts it for test_ranks.py.

Arguments: a folder for the paths of the videos that each rank judged, then those of `mgm`.
"""

import os
import sys
import time
from pathlib import Path

import torch

from mgm.commands import main
from mgm.data.loading.dataset import ViewSet
from mgm.training import resume


def watch(report: Path) -> None:
    """Write the path of every judged video, and save checkpoints late: no other rank may depend on luck."""
    read, save = ViewSet.read, resume.save_checkpoint

    def watched(views, index, begin_item=None):
        with report.open("a") as file:
            file.write(f"{views.items[index].path}\n")
        return read(views, index, begin_item)

    def late(*arguments, **options):
        time.sleep(2)
        save(*arguments, **options)

    ViewSet.read, resume.save_checkpoint = watched, late


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv.pop(1))
    watch(folder / f"rank{os.environ.get('RANK', 0)}.txt")
    main.run()
