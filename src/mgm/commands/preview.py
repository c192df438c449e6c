"""`mgm preview`"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

import mgm
from mgm.commands.next_command import new_folder, suggest
from mgm.commands.options import AsJson, Dark, mask_names, recipe_names
from mgm.errors import ConfigError
from mgm.terminal import Activity, Terminal, print_json

if TYPE_CHECKING:
    from mgm.show.preview import PreviewModel, PreviewSettings
    from mgm.show.preview_set import PreviewForm, PreviewReport
    from mgm.video.motion.names import MotionName

_SETTING = re.compile(r"(?:(?:data|model|mask|pretrain|finetune|probe|log)\.[a-z_.]+|seed)=")
"""The beginning of a setting; a set may be given as train=FILE,test=FILE."""
RECIPE = "mgm-vitb-k400"
"""Of settings that are given without one."""
_OF_A_MODEL = {"reconstruction", "attention"}


_Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Videos, folders of videos, or sets as for 'mgm data show'; then settings section.key=value.",
        metavar="VIDEO|SET... [SECTION.KEY=VALUE]...",
    ),
]
_Hidden = partial(typer.Option, rich_help_panel="What is hidden")
_OfRecipe = Annotated[
    str | None, _Hidden(help="Show what pretraining with this recipe hides.", autocompletion=recipe_names)
]
_OfRun = Annotated[str | None, _Hidden(help="Show what this run hides; the rows reconstruction and attention need it.")]
_Masks = Annotated[
    str | None,
    _Hidden(
        help="Names of masks separated by commas, or all. Default: mgm,tube, or that of the recipe.",
        autocompletion=mask_names,
    ),
]
_Ratio = Annotated[float | None, _Hidden(help="Share of hidden tokens. Default: 0.75.")]
_Boundary = Annotated[str | None, _Hidden(help="Border rule of mgm: clip, shift, grow or wrap.")]
_Seed = Annotated[int | None, _Hidden(help="Seed of the masks. Default: 0.")]
_Draws = Annotated[int, _Hidden(help="Number of masks of each kind in the statistics.", min=1)]

_Clip = partial(typer.Option, rich_help_panel="Clips")
_Clips = Annotated[int, _Clip(help="Number of videos, evenly spaced.")]
_Start = Annotated[int | None, _Clip(help="First frame of the clip. Default: the clip in the middle of the video.")]
_Frames = Annotated[int | None, _Clip(help="Number of frames. Default: 16.")]
_Stride = Annotated[int | None, _Clip(help="Distance between sampled frames. Default: 4.")]
_Size = Annotated[int | None, _Clip(help="Side of the clip in pixels. Default: 224.")]
_Patch = Annotated[int | None, _Clip(help="Side of a token in pixels. Default: 16.")]
_Tubelet = Annotated[int | None, _Clip(help="Number of frames in a token. Default: 2.")]
_Motion = Annotated[
    Literal["auto", "codec", "flow", "difference", "none"] | None,
    _Clip(help="Source of the motion. auto: codec if the stream has vectors, else flow."),
]
_Boxes = Annotated[
    Path | None,
    _Clip(help="JSON with the true boxes of one video's objects. Default: NAME.json or boxes.json beside each video."),
]

_Picture = partial(typer.Option, rich_help_panel="Pictures")
_Rows = Annotated[
    str,
    _Picture(help="Rows of a sheet: frames,motion,mask,encoder,reconstruction,attention. The last two need --run."),
]
_Forms = Annotated[str, _Picture("--format", help="Files of a clip: png, svg, pdf, mp4, gif.")]
_Moving = Annotated[bool, _Picture(help="Also write the moving files, .mp4 and .gif.")]


def preview(
    inputs: _Inputs,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("preview"),
    recipe: _OfRecipe = None,
    run: _OfRun = None,
    masks: _Masks = None,
    ratio: _Ratio = None,
    boundary: _Boundary = None,
    seed: _Seed = None,
    draws: _Draws = 100,
    clips: _Clips = 10,
    start: _Start = None,
    frames: _Frames = None,
    stride: _Stride = None,
    size: _Size = None,
    patch: _Patch = None,
    tubelet: _Tubelet = None,
    motion: _Motion = None,
    boxes: _Boxes = None,
    rows: _Rows = "frames,motion,encoder",
    forms: _Forms = "png,mp4",
    video: _Moving = True,
    dark: Dark = False,
    as_json: AsJson = False,
) -> None:
    """Show what pretraining hides, as pictures and videos, with statistics of each mask.

    mgm preview videos/ --recipe mgm-vitb-k400 mask.ratio=0.9 data.camera=affine

    mgm preview videos/ --masks all --out preview/

    Without a recipe and without settings it needs no PyTorch. The statistics are means over many draws and all clips; each picture
    shows those of its clip, and statistics.csv lists them.
    """
    changed = [word for word in inputs if _SETTING.match(word)]
    paths = [word for word in inputs if word not in changed]
    given: dict[str, Any] = {"ratio": ratio, "seed": seed, "frames": frames, "stride": stride, "draws": draws}
    given |= {"size": size, "patch": patch, "tubelet": tubelet}
    with Activity("previewing videos") as activity:
        from mgm.show.preview_set import PreviewForm, preview_set

        form = PreviewForm(_suffixes(forms, moving=video), tuple(rows.split(",")), "dark" if dark else "light")
        base, model = _base(recipe, run, changed, masks, with_model=bool(_OF_A_MODEL & set(form.rows)))
        settings = _changed(base, given, motion, boundary)
        report = preview_set(
            paths,
            out=out,
            clips=clips,
            start=start,
            settings=settings,
            boxes=boxes,
            form=form,
            model=model,
            progress=activity.reach,
        )
    if as_json:
        print_json(report.to_dict())
    _print(report, settings, form, tables=not as_json)
    if not report.written:
        raise typer.Exit(1)
    if run is not None and len(paths) == 1:
        suggest("mgm", "explore", paths[0], "--run", run)
    elif len(report.written) > 1 and len(paths) == 1:
        same = ["--recipe", recipe or RECIPE] if recipe or changed else []
        suggest("mgm", "pretrain", paths[0], *same, "--out", new_folder("runs/pretrain"), *changed)
    elif len(paths) == 1:  # one video is not enough to pretrain on
        suggest("mgm", "explore", paths[0])
    else:
        suggest("mgm", "pretrain", "--help")


def _base(
    recipe: str | None, run: str | None, changed: list[str], masks: str | None, *, with_model: bool
) -> tuple[PreviewSettings, PreviewModel | None]:
    """The settings before those of the options, and the run's model."""
    from mgm.masks import list_masks
    from mgm.show.preview import PreviewSettings

    chosen = () if masks is None else list_masks() if masks == "all" else tuple(masks.split(","))
    if recipe or run or changed:
        return _pretraining(recipe, run, changed, chosen, with_model=with_model)
    return PreviewSettings(masks=chosen or ("mgm", "tube")), None


def _changed(
    base: PreviewSettings, given: dict[str, Any], motion: MotionName | Literal["none"] | None, boundary: str | None
) -> PreviewSettings:
    """The settings with the options that were given."""
    options = dict(base.options) if boundary is None else {**base.options, "mgm": {"boundary": boundary}}
    source = base.motion if motion is None else None if motion == "none" else motion
    values = {name: value for name, value in given.items() if value is not None}
    return replace(base, options=options, motion=source, **values)


def _print(report: PreviewReport, settings: PreviewSettings, form: PreviewForm, *, tables: bool) -> None:
    console = Terminal()
    if tables and report.statistics is not None:
        console.print(_table(report, settings))
        for _, picture in report.written:
            console.print_line(" and ".join([str(picture), *form.suffixes[1:]]))
        console.print_line(str(report.statistics))
    for error in report.failed:
        console.print_line(str(error), style="yellow")


def _suffixes(forms: str, *, moving: bool) -> tuple[str, ...]:
    """The suffixes of the files. Raises ConfigError for an unknown form."""
    from mgm.show.drawing.save import STILLS
    from mgm.show.panels import MOVING

    suffixes = tuple(f".{form.strip().lower()}" for form in forms.split(","))
    for suffix in suffixes:
        if suffix not in (*STILLS, *MOVING):
            known = ", ".join(known.removeprefix(".") for known in (*STILLS, *MOVING))
            raise ConfigError(
                "--format", f"found {suffix.removeprefix('.')!r}", f"some of {known}", reason="unknown_name"
            )
    return tuple(suffix for suffix in suffixes if moving or suffix in STILLS) or STILLS[:1]


def _pretraining(
    recipe: str | None, run: str | None, changed: list[str], masks: tuple[str, ...], *, with_model: bool
) -> tuple[PreviewSettings, PreviewModel | None]:
    """The settings of a recipe or a run, and the run's model."""
    from mgm.show.preview_settings import settings_of

    if run is None:
        name = recipe or RECIPE
        words = " ".join([f"the recipe {Path(name).name}", *changed])
        return settings_of(mgm.load_config(name, changed), masks, origin=words), None
    if recipe is not None:
        raise ConfigError("--recipe", "found with --run", "one of them", "a run has its own recipe", reason="conflict")
    from mgm.training.checkpoint import open_encoder

    _, config = open_encoder(run, changed)
    settings = settings_of(config, masks, origin=" ".join([f"the run {Path(run).name}", *changed]))
    if not with_model:
        return settings, None
    from mgm.show.preview_model import RunModel

    return settings, RunModel(run)


def _table(report: PreviewReport, settings: PreviewSettings) -> Table:
    places = settings.grid[1] * settings.grid[2]
    number = len(report.written)
    headings = ("hidden", "motion", "object", "steps", "draws", "least", "never", "fallback")
    table = Table(
        Column("mask", no_wrap=True),
        *(Column(heading, justify="right") for heading in headings),
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title=f"{number} clips, {settings.draws} draws each" if number > 1 else f"{settings.draws} draws",
        caption=(
            "motion, object: hidden share. steps, draws: IoU of successive steps, and of two masks for one clip. "
            f"least: visibility of the least visible token. never: places, of {places}, that are never visible. "
            "fallback: steps without motion to follow."
        ),
        caption_justify="left",
    )
    for name, pooled in report.pooled().items():
        shares = (
            pooled.ratio,
            pooled.motion_share,
            pooled.object_share,
            pooled.step_iou,
            pooled.overlap,
            pooled.least_visible,
        )
        table.add_row(name, *map(share_cell, shares), str(pooled.never_visible), share_cell(pooled.fallback_share))
    return table


def share_cell(value: float | None) -> str:
    """A share in per cent; "-": it was not measured, "<1%": it is small, but not none."""
    if value is None:
        return "-"
    return "<1%" if 0 < value < 0.005 else f"{value:.0%}"  # "0%" is none at all
