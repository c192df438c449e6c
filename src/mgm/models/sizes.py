"""The sizes of the models: widths and depths of encoders and of their decoders, by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from mgm.errors import ModelError


def unknown_name(subject: str, found: object, known: Iterable[str], others: str = "") -> ModelError:
    """The error for a name that is not in a catalog. others: what is accepted besides the known names."""
    expected = f"one of {', '.join(known)}"
    return ModelError(
        subject, f"found {found!r}", f"{expected}, {others}" if others else expected, reason="unknown_name"
    )


def check_classes(classes: int, labels: Sequence[str] | None) -> tuple[str, ...] | None:
    """The names of the classes; None if they are unknown. Raises ModelError without a class, and for another number of names."""
    if classes < 1:
        raise ModelError("classes", f"found {classes}", "at least 1", reason="invalid_value")
    if labels is not None and len(labels) != classes:
        expected = f"one for each of the {classes} classes"
        raise ModelError("labels", f"found {len(labels)} names", expected, reason="mismatch")
    return None if labels is None else tuple(labels)


def check_positive(name: str, value: object) -> None:
    """Raises ModelError unless `value` is an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(name, f"found {value!r}", "an integer of at least 1", reason="invalid_value")


@dataclass(frozen=True)
class Stack:
    """A stack of transformer blocks: `depth` blocks of width `dim` with `heads` attention heads.

    Attributes:
        hidden: width of the MLP's hidden layer; None: 4 x dim.
    """

    dim: int
    depth: int
    heads: int
    hidden: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (name == "hidden" and value is None):
                check_positive(f"Stack.{name}", value)
        if self.hidden == 4 * self.dim:  # one form per value, so that equal stacks compare equal
            object.__setattr__(self, "hidden", None)
        if self.dim % self.heads:
            raise ModelError(
                "Stack",
                f"dim {self.dim} is not divisible by {self.heads} heads",
                advice="change one of them",
                reason="invalid_value",
            )

    @property
    def mlp(self) -> int:
        """Width of the MLP's hidden layer."""
        return 4 * self.dim if self.hidden is None else self.hidden


@dataclass(frozen=True)
class Size:
    """The widths and depths of an encoder and of its decoder for pretraining."""

    encoder: Stack
    decoder: Stack


# S to H: VideoMAE (Tong et al. 2022) and its scripts, whose decoders are deeper for L and H.
# tiny learns on 48-pixel clips within minutes of CPU time; debug only runs.
SIZES: Final[Mapping[str, Size]] = {
    "debug": Size(Stack(32, 2, 2), Stack(16, 1, 2)),
    "tiny": Size(Stack(128, 4, 4), Stack(64, 2, 2)),
    "S": Size(Stack(384, 12, 6), Stack(192, 4, 3)),
    "B": Size(Stack(768, 12, 12), Stack(384, 4, 6)),
    "L": Size(Stack(1024, 24, 16), Stack(512, 12, 8)),
    "H": Size(Stack(1280, 32, 16), Stack(640, 12, 8)),
}


def list_models() -> tuple[str, ...]:
    """Names of the model sizes, for `ModelSpec(size=...)` and the setting `model.size`; `SIZES` has their widths."""
    return tuple(SIZES)
