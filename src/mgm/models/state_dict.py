"""State dicts loaded into models: every key that is missing, unexpected or of another shape is an error that names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.printable import plural


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict, in the precision of the model.

    Raises:
        ModelError: it names missing and unexpected keys, other shapes, and tensors with NaN or infinity.
    """
    own = model.state_dict()
    check_names_and_shapes(state, own)
    for key, value in own.items():
        if value.is_floating_point():  # counters of batch norm are not
            check_floating(key, state[key])
    model.load_state_dict(dict(state))
    # Checked in the model: values beyond single precision become infinite only there.
    for key, value in model.state_dict().items():
        if not value.is_meta and not torch.isfinite(value).all():
            raise ModelError(
                "state dict",
                f"found {(~torch.isfinite(value)).sum()} NaN or infinite values in {key}",
                "finite weights",
                "the training diverged, or the file is damaged: use an earlier checkpoint",
                reason="diverged",
            )


def check_names_and_shapes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raises ModelError unless a state dict has the keys of another one, and tensors of their shapes."""
    missing, unexpected = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or unexpected:
        raise wrong_keys(missing, unexpected)
    wrong = misshapen(state, {key: value.shape for key, value in expected.items()})
    if wrong:
        advice = "for the encoder alone use load_encoder" if any(w.startswith("decoder.head") for w in wrong) else ""
        raise wrong_shapes(wrong, advice)


def misshapen(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Key, shape and expected shape of every tensor whose shape is not the expected one, for `wrong_shapes`."""
    return [
        f"{key} {tuple(state[key].shape)}, expected {tuple(shape)}"
        for key, shape in expected.items()
        if state[key].shape != tuple(shape)
    ]


def wrong_keys(missing: Sequence[str], unexpected: Sequence[str], advice: str = "") -> ModelError:
    """The error for a state dict whose keys are not those of the model."""
    counts = (
        f"{plural(len(keys), f'{kind} key')} ({', '.join(keys[:3])})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    )
    advice = advice or "they are weights of another model, or a part of them: give the file of this model"
    return ModelError("state dict", f"found {' and '.join(counts)}", advice=advice, reason="mismatch")


def wrong_shapes(wrong: Sequence[str], advice: str = "", *, of: str = "the model") -> ModelError:
    """The error for a state dict whose shapes are not those of the model. wrong: key, shape and expected shape."""
    number = "1 shape does" if len(wrong) == 1 else f"{len(wrong)} shapes do"
    found = f"{number} not fit {of}: found {'; '.join(wrong[:3])}"
    return ModelError("state dict", found, advice=advice, reason="invalid_shape")


def check_floating(key: str, value: Tensor) -> None:
    """Raises ModelError unless a tensor is floating point: integers are quantised weights, whose scale is stored elsewhere."""
    if not value.is_floating_point():
        raise ModelError(
            "state dict",
            f"found {key} of {str(value.dtype).removeprefix('torch.')}",
            "floating-point weights",
            "quantised weights are not supported: convert them to float32 with the program that wrote them",
            reason="invalid_type",
        )
