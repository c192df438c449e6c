"""`mgm preview`"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

import mgm
from mgm.commands.next_command import new_folder, suggest
from mgm.commands.options import AsJson, Dark
from mgm.errors import ConfigError
from mgm.terminal import Activity, Terminal, print_json

if TYPE_CHECKING:
    from mgm.show.preview import PreviewModel, PreviewSettings
    from mgm.show.preview_set import PreviewReport

_SETTING = re.compile(r"(?:(?:data|model|mask|pretrain|finetune|probe|log)\.[a-z_.]+|seed)=")
"""The beginning of a setting; a set may be given as train=FILE,test=FILE."""
_OF_A_MODEL = {"reconstruction", "attention"}


def preview(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Videos, folders of videos, or sets as for 'mgm data show'; then settings section.key=value.",
            metavar="VIDEO|SET... [SECTION.KEY=VALUE]...",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("preview"),
    recipe: Annotated[
        str | None, typer.Option(help="Show what pretraining with this recipe hides.", rich_help_panel="What is hidden")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Show what this run hides, and its model's rows.", rich_help_panel="What is hidden"),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            help="Names of masks separated by commas, or all. Default: mgm,tube, or that of the recipe.",
            rich_help_panel="What is hidden",
        ),
    ] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Share of hidden tokens; 0.75.", rich_help_panel="What is hidden")
    ] = None,
    boundary: Annotated[
        str | None,
        typer.Option(help="Border rule of mgm: clip, shift, grow or wrap.", rich_help_panel="What is hidden"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the masks; 0.", rich_help_panel="What is hidden")] = None,
    draws: Annotated[
        int,
        typer.Option(help="Number of masks of each kind in the statistics.", min=1, rich_help_panel="What is hidden"),
    ] = 100,
    clips: Annotated[int, typer.Option(help="Number of videos, evenly spaced.", rich_help_panel="Clips")] = 10,
    start: Annotated[
        int | None, typer.Option(help="First frame. Default: the middle of the video.", rich_help_panel="Clips")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Number of frames; 16.", rich_help_panel="Clips")] = None,
    stride: Annotated[
        int | None, typer.Option(help="Distance between sampled frames; 4.", rich_help_panel="Clips")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the clip in pixels; 224.", rich_help_panel="Clips")] = None,
    patch: Annotated[int | None, typer.Option(help="Side of a token in pixels; 16.", rich_help_panel="Clips")] = None,
    tubelet: Annotated[
        int | None, typer.Option(help="Number of frames in a token; 2.", rich_help_panel="Clips")
    ] = None,
    motion: Annotated[
        Literal["auto", "codec", "flow", "difference", "none"] | None,
        typer.Option(
            help="Source of the motion. auto: codec if the stream has vectors, else flow.", rich_help_panel="Clips"
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="JSON with the true boxes of one video's objects. Default: NAME.json or boxes.json beside each video.",
            rich_help_panel="Clips",
        ),
    ] = None,
    rows: Annotated[
        str,
        typer.Option(
            help="Rows of a sheet: frames,motion,mask,encoder,reconstruction,attention. The last two need --run.",
            rich_help_panel="Pictures",
        ),
    ] = "frames,motion,encoder",
    forms: Annotated[
        str,
        typer.Option("--format", help="Files of a clip: png, svg, pdf, mp4, gif.", rich_help_panel="Pictures"),
    ] = "png,mp4",
    video: Annotated[bool, typer.Option(help="Write the files that move, too.", rich_help_panel="Pictures")] = True,
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
    with Activity("previewing videos") as activity:
        from mgm.masks import list_masks
        from mgm.show.preview import PreviewSettings
        from mgm.show.preview_set import PreviewForm, preview_set

        form = PreviewForm(_suffixes(forms, moving=video), tuple(rows.split(",")), "dark" if dark else "light")
        chosen = () if masks is None else list_masks() if masks == "all" else tuple(masks.split(","))
        model: PreviewModel | None = None
        if recipe or run or changed:
            base, model = _pretraining(recipe, run, changed, chosen, with_model=bool(_OF_A_MODEL & set(form.rows)))
        else:
            base = PreviewSettings(masks=chosen or ("mgm", "tube"))
        given: dict[str, Any] = {"ratio": ratio, "seed": seed, "frames": frames, "stride": stride}
        given |= {"size": size, "patch": patch, "tubelet": tubelet}
        options = dict(base.options) if boundary is None else {**base.options, "mgm": {"boundary": boundary}}
        settings = replace(
            base,
            options=options,
            draws=draws,
            motion=base.motion if motion is None else None if motion == "none" else motion,
            **{name: value for name, value in given.items() if value is not None},
        )
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
    console = Terminal()
    if as_json:
        print_json(report.to_dict())
    elif report.statistics is not None:
        console.print(_table(report, settings))
        for _, picture in report.written:
            console.print_line(" and ".join([str(picture), *form.suffixes[1:]]))
        console.print(str(report.statistics), highlight=False, soft_wrap=True)
    for error in report.failed:
        console.print_line(str(error), style="yellow")
    if not report.written:
        raise typer.Exit(1)
    if len(report.written) > 1 and len(paths) == 1:
        suggest("mgm", "pretrain", paths[0], "--out", new_folder("runs/pretrain"))
    else:  # single videos are no set
        suggest("mgm", "pretrain", "--help")


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
        name = recipe or "mgm-vitb-k400"
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
            f"least: visibility of the least visible token. never: places, of {places}, that are never visible."
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
        table.add_row(name, *map(_share, shares), str(pooled.never_visible), _share(pooled.fallback_share))
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
