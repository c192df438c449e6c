"""The command and the lines of Python that give the same view."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mgm.explore.request import ClipRequest, MaskRequest, TokenSizes
from mgm.video.clip.options import ClipOptions

_IN_PREVIEW = {"boundary"}
"""Options of a mask that `mgm preview` can set, for `mgm`."""


def python_lines(path: str, clip: ClipRequest, tokens: TokenSizes, masks: Sequence[MaskRequest], seed: int) -> str:
    """A program that reads the clip and draws the masks, bit for bit those of the page."""
    chosen: list[tuple[str, object]] = [("start", clip.start), ("frames", clip.frames), ("stride", clip.stride)]
    chosen += [("size", clip.size), ("motion", clip.motion), *_changed(clip)]
    lines = ["import mgm", "", f"clip = mgm.read_clip({path!r}, {_keywords(chosen)})"]
    grid = tokens.grid(clip.frames)
    for number, mask in enumerate(masks):
        name = "mask" if len(masks) == 1 else f"mask_{'ab'[number]}"
        options = "".join(f", {_keywords([(key, value)])}" for key, value in mask.options.items())
        lines += [
            f"{name} = mgm.make_mask(",
            f"    {mask.rule.name!r}, grid={grid}, ratio={mask.ratio:g}, motion=clip.motion,",
            f"    rng=mgm.masks.mask_rng({seed}, 0, {clip.start}, 0){options},",
            ")",
        ]
        lines += [f"{name}.show(clip)"]
    return "\n".join(lines) + "\n"


def command_line(path: str, clip: ClipRequest, tokens: TokenSizes, masks: Sequence[MaskRequest], seed: int) -> str:
    """The `mgm preview` of the view; a comment names what it cannot set."""
    words: list[object] = ["mgm", "preview", path, "--start", clip.start, "--frames", clip.frames]
    words += ["--stride", clip.stride, "--size", clip.size, "--patch", tokens.patch, "--tubelet", tokens.tubelet]
    words += ["--masks", ",".join(dict.fromkeys(mask.rule.name for mask in masks)), "--ratio", f"{masks[0].ratio:g}"]
    words += ["--motion", clip.motion, "--seed", seed]
    missing = [f"{name}={value}" for name, value in _changed(clip)]
    boundaries = [mask.options["boundary"] for mask in masks if mask.rule.name == "mgm" and "boundary" in mask.options]
    if boundaries:
        words += ["--boundary", boundaries[0]]
    for mask in masks:
        settable = _IN_PREVIEW if mask.rule.name == "mgm" else set[str]()
        missing += [f"{mask.rule.name}.{key}={value}" for key, value in mask.options.items() if key not in settable]
    missing += [f"{mask.rule.name} at ratio {mask.ratio:g}" for mask in masks[1:] if mask.ratio != masks[0].ratio]
    line = shlex.join(map(str, words))
    return f"{line}  # without {', '.join(missing)}: see the lines of Python" if missing else line


def _changed(clip: ClipRequest) -> list[tuple[str, object]]:
    """The options of a clip, of those that `mgm preview` lacks, that are not `read_clip`'s own."""
    plain, names = ClipOptions(), ("reading", "camera")
    return [(name, getattr(clip, name)) for name in names if getattr(clip, name) != getattr(plain, name)]


def _keywords(pairs: Sequence[tuple[str, object]]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in pairs)
