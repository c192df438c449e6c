"""All targets by name. A new one is a class in a file of this folder and one line here."""

from collections.abc import Mapping
from typing import Final

from mgm.errors import ModelError
from mgm.models.encoder import Encoder
from mgm.models.sizes import unknown_name
from mgm.models.spec import ModelSpec
from mgm.models.targets.codes import Codes, DvaeCodes, VqganCodes
from mgm.models.targets.distillation import ImageTeacher, VideoTeacher
from mgm.models.targets.hog import Hog
from mgm.models.targets.motion import AsinhMotion, MotionTarget
from mgm.models.targets.objective import ReconstructionObjective
from mgm.models.targets.pixels import FrameDifference, NormalisedPixels, OneFrame, Pixels
from mgm.models.targets.sobel import M3VideoHog, MaskFeatHog
from mgm.models.targets.target import Target
from mgm.models.targets.teacher import TeacherFeatures
from mgm.models.targets.trajectory import Trajectory
from mgm.models.tokenizers import Tokenizer

TARGETS: Final[Mapping[str, type[Target]]] = {
    "normalised-pixels": NormalisedPixels,
    "pixels": Pixels,
    "one-frame": OneFrame,
    "frame-difference": FrameDifference,
    "hog": Hog,
    "hog-maskfeat": MaskFeatHog,
    "hog-m3video": M3VideoHog,
    "motion": MotionTarget,
    "asinh-motion": AsinhMotion,
    "trajectory": Trajectory,
    "teacher": TeacherFeatures,
    "video-teacher": VideoTeacher,
    "image-teacher": ImageTeacher,
    "vqgan-codes": VqganCodes,
    "dvae-codes": DvaeCodes,
}


def list_targets() -> tuple[str, ...]:
    """Names of the reconstruction targets, for the setting `model.target`."""
    return tuple(TARGETS)


TargetChoice = str | Target | Mapping[str, float]
"""A name of `TARGETS`, a target, or several names with the weights of their losses."""


def build_objective(
    spec: ModelSpec,
    choice: TargetChoice,
    *,
    teacher: Encoder | ModelSpec | None = None,
    image_teacher: Encoder | ModelSpec | None = None,
    tokenizer: Tokenizer | int | None = None,
) -> ReconstructionObjective:
    """The objective of a model.

    Args:
        teacher: the encoder of the targets "teacher" and "video-teacher".
        image_teacher: that of "image-teacher".
        tokenizer: that of a target of codes, or the size of its vocabulary.

    Raises:
        ModelError: an unknown name, a weight that is not positive, or a missing or superfluous teacher or tokenizer.
    """
    networks = {"teacher": teacher, "image_teacher": image_teacher, "tokenizer": tokenizer}
    if isinstance(choice, Target):
        objective = ReconstructionObjective(((choice, 1.0),))
    else:
        weights = {choice: 1.0} if isinstance(choice, str) else choice
        objective = ReconstructionObjective(
            tuple((_build(spec, name, networks), float(weight)) for name, weight in weights.items())
        )
    needed = [target.needs for target, _ in objective.targets if target.needs is not None]
    for needs, network in networks.items():
        if network is not None and needs not in needed:
            names = " or ".join(name for name, kind in TARGETS.items() if kind.needs == needs)
            raise ModelError(
                needs,
                f"found one for another target than {names}",
                advice=f"add the target {names}, or leave the {needs} out",
                reason="conflict",
            )
    if needed.count("tokenizer") > 1:
        raise ModelError("target", "found codes of two tokenizers", "of one", "leave one out", reason="conflict")
    return objective


def _build(spec: ModelSpec, name: str, networks: Mapping[str, Encoder | ModelSpec | Tokenizer | int | None]) -> Target:
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS, "or a Target")
    kind = TARGETS[name]
    if kind.needs is None:
        return kind(spec)
    network = networks[kind.needs]
    if network is None:
        raise ModelError(
            f"target {name}",
            f"found no {kind.needs}",
            "an encoder to predict features of"
            if kind.needs != "tokenizer"
            else "weights of the network that gives the codes",
            reason="missing_value",
        )
    if issubclass(kind, Codes) and isinstance(network, Tokenizer) and not isinstance(network, kind.kind):
        expected = f"a {kind.kind.__name__}"
        raise ModelError(f"target {name}", f"found a {type(network).__name__}", expected, reason="mismatch")
    made: Target = kind(spec, network)  # type: ignore[call-arg]
    return made
