"""Configuration and recipes, the training loop and its methods, checkpoints.

The public names are listed in `__init__.pyi`.
"""

from mgm.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
