"""Where the operations of this package stand in for PyTorch's."""

import torch
from torch import Tensor
from torch.autograd import forward_ad


def applies(x: Tensor) -> bool:
    """Whether this is training in float32 on a CPU, of at least one row, and is neither recorded nor transformed."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not recorded()
        and x.dim() > 1
        and x.shape[-2] > 0
        and not _transformed()
    )


def _transformed() -> bool:
    """Whether `torch.func` or forward-mode differentiation is at work, which know PyTorch's operations alone.

    Within a compiled model nothing can tell.
    """
    if torch.compiler.is_compiling():
        return False
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def recorded() -> bool:
    """Whether the operations are recorded to run without mgm: exported or traced."""
    # Within a compiled model, PyTorch 2.11 answers its own question, `torch.compiler.is_exporting`, with yes; 2.6 has neither.
    exporting = getattr(torch.compiler, "_is_exporting_flag", torch.compiler.is_compiling())
    return bool(exporting) or torch._C._get_tracing_state() is not None
