"""Models: video and mask in, representation, loss or logits out. Nothing here reads video files or trains.

The public names are listed in `__init__.pyi`.
"""

from mgm.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
