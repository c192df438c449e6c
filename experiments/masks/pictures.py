"""The pictures of docs/masks.md: all masks on three real clips.

    python experiments/masks/pictures.py [--data ../shared/data] [--out docs/images]

Needs `surv_fights` (MIT), `single_clips/sam2/04_coffee.mp4` (SAM 2, Apache-2.0) and `single_clips/mmaction2/mmaction2_demo.mp4`
(MMAction2, Apache-2.0) in the folder of --data, and the extra `train`. All licences allow these pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from mgm.machine import machine, versions
from mgm.masks import list_masks
from mgm.show.preview import PreviewSettings, preview_clip

ROOT = Path(__file__).parents[2]
CLIPS = {
    "fight": ("surv_fights/fight/g001_fi001.mp4", 2),
    "coffee": ("single_clips/sam2/04_coffee.mp4", 4),
    "arms": ("single_clips/mmaction2/mmaction2_demo.mp4", 4),
}


def main() -> None:
    """Write masks-*.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    args = parser.parse_args()
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()))
    for name, (path, stride) in CLIPS.items():
        settings = PreviewSettings(stride=stride, masks=list_masks(), draws=200)
        shown = preview_clip(args.data / path, settings=settings)
        sheet = shown.show(columns=5)
        out = args.out / f"masks-{name}.png"
        # A palette is a third of the bytes; this way of finding one keeps the colours of small things.
        sheet.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(out, optimize=True)
        print(f"{out}: {sheet.width} x {sheet.height}, {out.stat().st_size // 1000} KB, from {path}")


if __name__ == "__main__":
    main()
