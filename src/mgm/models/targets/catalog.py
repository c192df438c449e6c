"""All targets by name. A new one is a class in a file of this folder and one line here."""

from collections.abc import Mapping
from typing import Final

from mgm.errors import ModelError
from mgm.models.encoder import Encoder
from mgm.models.sizes import ModelSpec, unknown_name
from mgm.models.targets.hog import Hog
from mgm.models.targets.motion import AsinhMotion, MotionTarget
from mgm.models.targets.objective import ReconstructionObjective
from mgm.models.targets.pixels import FrameDifference, NormalisedPixels, OneFrame, Pixels
from mgm.models.targets.target import Target
from mgm.models.targets.teacher import TeacherFeatures

TARGETS: Final[Mapping[str, type[Target]]] = {
    "normalised-pixels": NormalisedPixels,
    "pixels": Pixels,
    "one-frame": OneFrame,
    "frame-difference": FrameDifference,
    "hog": Hog,
    "motion": MotionTarget,
    "asinh-motion": AsinhMotion,
    "teacher": TeacherFeatures,
}


def list_targets() -> tuple[str, ...]:
    """Names of the reconstruction targets, for the setting `model.target`."""
    return tuple(TARGETS)


TargetChoice = str | Target | Mapping[str, float]
"""A name of `TARGETS`, a target, or several names with the weights of their losses."""


def build_objective(
    spec: ModelSpec, choice: TargetChoice, *, teacher: Encoder | ModelSpec | None = None
) -> ReconstructionObjective:
    """The objective of a model. teacher: the encoder of the target "teacher".

    Raises ModelError for an unknown name, a weight that is not positive, or a missing or superfluous teacher.
    """
    if isinstance(choice, Target):
        objective = ReconstructionObjective(((choice, 1.0),))
    else:
        weights = {choice: 1.0} if isinstance(choice, str) else choice
        objective = ReconstructionObjective(
            tuple((_build(spec, name, teacher), float(weight)) for name, weight in weights.items())
        )
    if teacher is not None and not any(isinstance(target, TeacherFeatures) for target, _ in objective.targets):
        raise ModelError(
            "teacher",
            "found one for another target than 'teacher'",
            advice="add the target 'teacher', or leave the teacher out",
            reason="conflict",
        )
    return objective


def _build(spec: ModelSpec, name: str, teacher: Encoder | ModelSpec | None) -> Target:
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS, "or a Target")
    kind = TARGETS[name]
    if not issubclass(kind, TeacherFeatures):
        return kind(spec)
    if teacher is None:
        raise ModelError(
            "target teacher", "found no teacher", "an encoder to predict features of", reason="missing_value"
        )
    return kind(spec, teacher)
