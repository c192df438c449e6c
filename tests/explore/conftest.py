"""The fixtures of `visitors`, where the extra `explore` is installed; elsewhere the tests are skipped, with the reason."""

from importlib.util import find_spec

if find_spec("starlette") is not None:
    from tests.explore.visitors import folder, reader, serve, visitor

    __all__ = ["folder", "reader", "serve", "visitor"]
