"""Make the weights `mgm-tiny`: the encoder of the recipe `laptop` after pretraining on two sets of real clips.

    python experiments/real/weights.py DATA --out ~/.cache/mgm/weights/mgm-tiny

DATA contains the folders surv_fights and tank_wagon, both under the MIT licence. All of their clips are read, without labels, so
that figures for these weights on either set are not those of docs/results.md, which keeps test clips apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from sets import load_sets

from mgm.data.items import VideoSet
from mgm.machine import machine, versions
from mgm.training import export_model, load_config
from mgm.training.pretrain import pretrain

FIGURES = """## Figures

What this recipe gives when test clips are kept apart, against the untrained encoder, the mean frame and the motion vectors, with
intervals: docs/results.md of mgm, "Real clips". These weights have seen the test clips, without labels.
"""


def main() -> None:
    """Pretrain, and export the encoder with its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", nargs="*", default=[], help="key=value of the recipe laptop")
    arguments = parser.parse_args()
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    sets = load_sets(arguments.data)
    items = tuple(item for videos in sets.values() for item in videos.items)
    config = load_config("laptop", ["data.memory=true", "data.memory_side=72", *arguments.settings])
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / arguments.out.name
        pretrain(VideoSet(" + ".join(sets), items, (), (), "unlabelled"), config, out=run)
        data = f"{' + '.join(sets)} ({len(items)} clips, without labels; MIT licence)"
        written = export_model(run, to="safetensors", out=arguments.out, part="encoder", data=data)
    minutes = (time.process_time() - began) / 60
    with (arguments.out / "README.md").open("a", encoding="utf-8") as card:
        card.write(f"\n## Cost\n\n{minutes:.0f} minutes of the training process on {machine()}.\n\n{FIGURES}")
    print(written)


if __name__ == "__main__":
    main()
