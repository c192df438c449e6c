"""Motion-guided masking: motion vectors from compressed video, masks that follow them, backbones that learn from both.

Public names: `__init__.pyi`. Each is imported when it is first used: reading motion or drawing a mask never imports torch.
"""

from mgm.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
