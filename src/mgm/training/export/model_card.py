"""The model card of an export: the model, its training, its results, and how to load it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mgm.errors import MgmError, ModelError, in_words
from mgm.files.json_text import read_json
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.convert import CONFIG_FILE, HEAD_NORM_EPS, BiasNames, GraphModel, VideoType, encoder_of
from mgm.models.description import DESCRIPTION_FILE
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.described import describe
from mgm.models.networks.network import TokensOf, VideoNetwork
from mgm.printable import printable
from mgm.training.checkpoint import contains_settings, load_checkpoint
from mgm.training.config import Config
from mgm.training.export.examples import usage
from mgm.training.recipe import parse_config
from mgm.training.recipe_file import LENGTHS
from mgm.training.results import RESULT_FILES, Metric, Result, read_results
from mgm.training.sections import OptimConfig
from mgm.version import VERSION

_RELEASES: Final = {
    "q_bias": "Read by transformers 4.x, 5.0 to 5.5.0, and from 5.18 on. Releases 5.5.1 to 5.17 silently load this folder with "
    "biases of zero in the attention and compute wrong results; for them export with `--bias-names query.bias`.",
    "query.bias": "Written for transformers 5.5.1 to 5.17. Releases from 5.18 on read it too, and report the bias of the keys, "
    "which is zero, as unexpected. 4.x up to 5.5.0 do not: for them export without `--bias-names query.bias`.",
}
_EXPORTED: Final = ("model.safetensors", "model.pth", CONFIG_FILE)


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """The origin of an exported model.

    Attributes:
        name: of the run, file or folder.
        settings: the run's configuration, None if unknown.
        step: of the checkpoint.
        results: content of the run's files of results, as lines of the model card.
        foreign: trained by another program; if this is False and settings are None, the origin was not recorded.
        data: name of the videos, if an earlier export recorded it.
        first: the name of the origin of that export.
    """

    name: str
    settings: Config | None = None
    step: int | None = None
    results: Sequence[str] = ()
    foreign: bool = False
    data: str | None = None
    first: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record of an export, from which an export of the export gets the same model card."""
        config = None if self.settings is None else self.settings.model_dump(mode="json")
        noted = {"config": config, "step": self.step, "results": list(self.results), "foreign": self.foreign}
        return {"name": self.first or self.name, **noted, "data": self.data}


def origin_of(path: str | Path) -> ModelOrigin:
    """The origin of a run or of external weights. Raises ModelError if a file of the run is damaged."""
    location = Path(path)
    named = location.name not in ("", "..")
    name = location.name if named else location.resolve().name or "model"  # the root has no name
    if not contains_settings(location):
        beside = (location if location.is_dir() else location.parent) / DESCRIPTION_FILE
        of_export = location.is_dir() or location.name in _EXPORTED
        return _noted(beside, name) if of_export and beside.is_file() else ModelOrigin(name, foreign=True)
    content = load_checkpoint(location)
    folder = location if location.is_dir() else location.parent
    results = [line for name in RESULT_FILES for found in read_results(folder / name) for line in _result_lines(found)]
    try:
        config, step = content["config"], content["position"]["step"]
    except (KeyError, TypeError) as error:
        raise ModelError(
            path,
            f"found a checkpoint without {error}",
            "one of 'mgm pretrain' or 'mgm finetune'",
            reason="malformed",
        ) from error
    return ModelOrigin(name, parse_config(config, str(path)), step, results)


def _noted(file: Path, name: str) -> ModelOrigin:
    """The origin that an earlier export recorded; older exports have no record."""
    try:
        about = read_json(file.read_text(encoding="utf-8"))
        if "origin" not in about:
            return ModelOrigin(name)
        noted = about["origin"]
        config = None if noted["config"] is None else parse_config(noted["config"], str(file))
        results = [str(line) for line in noted["results"]]
        return ModelOrigin(name, config, noted["step"], results, noted["foreign"], noted["data"], noted["name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, MgmError):
            raise
        raise ModelError(
            file,
            f"cannot be read as an export's description ({in_words(error)})",
            advice="export the model again, or delete the file",
            reason="malformed",
        ) from error


def _result_lines(result: Result) -> list[str]:
    """A line for each metric of a result, with its set and what is incomplete about it."""
    about = f"`{printable(result.set.name)}` (checksum {result.set.checksum})"
    state = f", {result.videos.incomplete}" if result.videos.incomplete else ""
    return [
        f"* {result.kind}, {metric.name}: {_figure(metric)} on {metric.count} test videos of {about}{state}"
        for metric in result.metrics
    ]


def _figure(metric: Metric) -> str:
    value = metric.write(metric.value)
    return f"{value}, 95% interval {metric.bounds} ({metric.intervals[0].method})," if metric.intervals else value


def model_card(
    model: GraphModel, origin: ModelOrigin, to: str, *, data: str | None, video: VideoType, bias_names: BiasNames
) -> str:
    """The model card in Markdown."""
    first = "" if origin.first is None else f", an export of `{printable(origin.first)}`"
    name = printable(origin.name)
    parts = [
        _front(model, to),
        f"# {name}\n\n{_what(model)} Exported by mgm {VERSION} from `{name}`{first}.",
        _table(model),
        f"## Training\n\n{_training(model, origin)} Data: {data or origin.data or 'not recorded'}.",
        "## Results\n\n" + "\n".join(origin.results) if origin.results else "",
        "## Use\n\nIn the folder of this file:\n\n" + usage(model, to, video),
        _notes(model, to, bias_names),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(model: GraphModel, to: str) -> str:
    task = "video-classification" if isinstance(model, Classifier | VideoNetwork) else "feature-extraction"
    library = {"hf": "transformers", "onnx": "onnx"}.get(to, "pytorch")
    tags = ["video"]
    tags += [] if isinstance(model, VideoNetwork | TokensOf) else ["videomae", "masked-autoencoder"]
    listed = "".join(f"\n- {tag}" for tag in [*tags, "motion-guided-masking"])
    return f"---\nlibrary_name: {library}\npipeline_tag: {task}\ntags:{listed}\n---"


def _what(model: GraphModel) -> str:
    if isinstance(model, VideoNetwork | TokensOf):
        network = model.network if isinstance(model, TokensOf) else model
        entry = NETWORKS[describe(network)["network"]]
        does = (
            "its features"
            if isinstance(model, TokensOf)
            else f"a classifier of video clips into {network.classes} classes"
        )
        return f"{entry.title} ({entry.paper}): {does}."
    if isinstance(model, Classifier):
        return f"A classifier of video clips into {model.head.out_features} classes: a video transformer, fine-tuned."
    if isinstance(model, MaskedAutoencoder):
        return "A masked autoencoder of video clips: the encoder with the decoder that it was pretrained with."
    return "The encoder of a masked autoencoder of video clips, a video transformer."


def _table(model: GraphModel) -> str:
    count = sum(p.numel() for p in model.parameters())
    if isinstance(model, VideoNetwork | TokensOf):
        about = describe(model.network if isinstance(model, TokensOf) else model)
        clip = f"{about['frames']} frames of {about['size']} x {about['size']} px"
        shown = "RGB" if NETWORKS[about["network"]].reads == "pixels" else "motion (data.input=motion)"
        return _two_columns(
            [("network", about["network"]), ("parameters", f"{count:,}"), ("input", f"{clip}, {shown}")]
        )
    spec = encoder_of(model).spec
    size = spec.size if isinstance(spec.size, str) else "-"
    rows = [
        ("size", f"{size}: width {spec.encoder.dim}, depth {spec.encoder.depth}, heads {spec.encoder.heads}"),
        ("parameters", f"{count:,}"),
        ("input", f"{spec.frames} frames of {' x '.join(map(str, spec.frame_size))} px, RGB"),
        ("token", f"{spec.tubelet} frames x {spec.patch} x {spec.patch} px; {spec.tokens} tokens"),
        ("backbone", f"{spec.backbone}, {'divided' if spec.divided else 'joint'} attention"),
        ("position embedding", spec.position),
    ]
    if isinstance(model, MaskedAutoencoder):
        stacks = spec.decoders or (("", spec.decoder),)
        if spec.regressor_depth is not None:
            rows.append(("regressor", f"width {spec.encoder.dim}, depth {spec.regressor_depth}"))
        rows += [
            (f"decoder {of}".rstrip(), f"width {stack.dim}, depth {stack.depth}, heads {stack.heads}")
            for of, stack in stacks
        ]
    return _two_columns(rows)


def _two_columns(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _training(model: GraphModel, origin: ModelOrigin) -> str:
    if origin.settings is None and not origin.foreign:
        return "Settings are not recorded: ask the author of the model, also for its licence."
    if origin.settings is None:
        return "Settings are unknown: the weights were not trained by mgm. See their source, also for their licence."
    settings, data = origin.settings, origin.settings.data
    clips = f"clips of {data.frames} frames of {data.size} px, stride {data.stride}"
    if isinstance(model, Classifier | VideoNetwork | TokensOf):
        return f"Fine-tuned with labels: {clips}; {_length(settings.finetune, origin, settings.seed)}"
    mask = settings.mask
    options = "".join(f", {key} {value}" for key, value in mask.options.items())
    second = f", decoder mask `{mask.decoder.name}` ratio {mask.decoder.ratio:g}" if mask.decoder is not None else ""
    return (
        f"Pretrained without labels: {clips}; mask `{mask.name}`, ratio {mask.ratios}{options}{second}; motion "
        f"{data.motion or 'none'}; target {', '.join(settings.model.target_names)}; "
        f"{_length(settings.pretrain, origin, settings.seed)}"
    )


def _length(optim: OptimConfig, origin: ModelOrigin, seed: int) -> str:
    length = next(f"{value} {unit}" for unit in LENGTHS if (value := getattr(optim, unit)) is not None)
    return (
        f"{length} of {optim.batch} clips, stored at step {origin.step}; learning rate {optim.base_lr:g} per 256 clips, "
        f"weight decay {optim.weight_decay:g}; seed {seed}."
    )


def _notes(model: GraphModel, to: str, bias_names: BiasNames) -> str:
    if isinstance(model, VideoNetwork | TokensOf):
        lines = ["Pixels are RGB, uint8 or in [0, 1]; the network normalises them itself."]
        if isinstance(model, VideoNetwork) and model.labels is not None:
            lines.append(_classes(model.labels))
        return _listed(lines)
    lines = [
        "Pixels are RGB in [0, 1], normalised with ImageNet's mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225)"
        + (", inside the graph where its input is uint8." if to in ("torch-export", "onnx") else ".")
    ]
    if to == "hf":
        lines.append(_RELEASES[bias_names])
    eps = encoder_of(model).spec.head_norm_eps
    if to == "hf" and not isinstance(model, Encoder) and eps != HEAD_NORM_EPS:
        lines.append(
            f"transformers computes the norm before the head with an epsilon of {HEAD_NORM_EPS:g}; the model was trained with "
            f"{eps:g}. Outputs differ by about {(HEAD_NORM_EPS - eps) / 2:.1g} divided by the variance of what is normalised."
        )
    stored = (encoder_of(model).spec.norm_eps, eps)
    if to == "videomae" and stored != (ModelSpec.norm_eps, ModelSpec.head_norm_eps):
        lines.append(
            f"The reference's code computes every norm with an epsilon of {ModelSpec.norm_eps:g}; this model has {stored[0]:g}, "
            f"{eps:g} before the head. mgm reads them from `args`; in the reference's code set them, or outputs differ."
        )
    if isinstance(model, Classifier) and model.labels is not None:
        lines.append(_classes(model.labels))
    return _listed(lines)


def _classes(labels: Sequence[str]) -> str:
    return "Classes, in the order of the logits: " + ", ".join(labels) + "."


def _listed(lines: Sequence[str]) -> str:
    return "## Notes\n\n" + "\n".join(f"* {line}" for line in lines)
