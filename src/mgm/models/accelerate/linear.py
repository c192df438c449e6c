"""Linear layers by oneDNN's matrix product, which PyTorch contains and uses for other formats than float32."""

import platform
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

HAS_ONEDNN: Final = (
    platform.machine() in ("x86_64", "AMD64")
    and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
"""Whether this build of PyTorch has the product. PyTorch has no public name for it; without it, `F.linear` is used."""


class AcceleratedLinear(nn.Linear):
    """`nn.Linear`, computed by `linear` in training mode."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in). Returns (..., out)."""
        return linear(x, self.weight, self.bias) if self.training else super().forward(x)


def applies(x: Tensor) -> bool:
    """Whether `x` is a non-empty float32 tensor on a CPU, and gradients are on and autocast is off."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and x.dim() > 1
        and x.shape[-2] > 0
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`. x: (..., in). weight: (out, in). bias: (out,). Returns (..., out)."""
    if HAS_ONEDNN and applies(x) and _fits(x, weight):
        out: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return out
    return F.linear(x, weight, bias)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight.T by the faster product, not differentiable. x: float32 (rows, in). weight: (out, in)."""
    return _onednn(x, weight, None) if HAS_ONEDNN else x @ weight.t()


def _fits(x: Tensor, weight: Tensor) -> bool:
    """Whether the product exists. If not, `F.linear` raises an error that names the shapes; oneDNN does not."""
    return weight.dtype == x.dtype and weight.shape[1:] == x.shape[-1:]


class _Linear(torch.autograd.Function):
    """oneDNN's product for the result and the input's gradient, PyTorch's (MKL's) for the weight's gradient.

    On an AMD EPYC 9004 the first two run at 107 GFLOP/s per core instead of 97, but the third at 90 instead of 97.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of input, weight and bias; None for those that need none."""
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            _product(grad, weight.t(), None) if for_x else None,
            rows.t() @ x.flatten(0, -2) if for_weight else None,
            rows.sum(0) if for_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # The compiler takes oneDNN's operation for inference on packed weights, so it sees an opaque operation. Outside of the
    # compiler the opaque one would only cost time.
    operation = torch.ops.mgm.linear if torch.compiler.is_compiling() else _onednn
    out: Tensor = operation(x, weight, bias)
    return out


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


# Defined by hand: `torch.library.custom_op` adds checks to each of the many calls of a step.
_LIBRARY: Final = torch.library.Library("mgm", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("linear", _onednn, "CPU")  # type: ignore[no-untyped-call]


@torch.library.register_fake("mgm::linear", lib=_LIBRARY)  # type: ignore[untyped-decorator]
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])
