"""Bytes to frames and motion in one decode pass. Imports neither torch nor packages above `files` and `workers`.

    container -> motion -> clip -> scan -> transcode    each folder imports only those before it

The public names are listed in `__init__.pyi`.
"""

from mgm.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
