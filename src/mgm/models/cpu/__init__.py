"""Training on a CPU in float32: linear layers and attention that are faster there than PyTorch's own.

They give what `torch.nn.functional` gives, to rounding. Linear layers and attention stand aside for it wherever `applies`
says no: without gradients, so that evaluation and every export are PyTorch's own; in other formats; under autocast; on other
devices.
"""

from mgm.models.cpu.attention import attention
from mgm.models.cpu.linear import Linear, linear
from mgm.models.cpu.pixels import can_normalise, normalised_pixels

__all__ = ["Linear", "attention", "can_normalise", "linear", "normalised_pixels"]
