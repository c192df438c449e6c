"""Data: annotations, shards, clips with masks and labels, and the loader of a run.

The public names are listed in `__init__.pyi`.
"""

from mgm.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
