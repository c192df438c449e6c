"""From motion to a mask over the tokens of a clip, with numpy and loops compiled by numba; without torch.

The public names are listed in `__init__.pyi`.
"""

from mgm.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
