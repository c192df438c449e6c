"""Sources of clips that something happens to."""

from collections.abc import Callable
from typing import Any

from mgm.data.clips.source import ClipSource


class Watched:
    """Another source, of which `happen` is told before each clip: how many came before."""

    def __init__(self, source: ClipSource, happen: Callable[[int], None]) -> None:
        self.source = source
        self.happen = happen
        self.count = 0

    def info(self, path: str) -> Any:
        return self.source.info(path)

    def clip(self, *args: Any) -> Any:
        self.happen(self.count)
        self.count += 1
        return self.source.clip(*args)

    def clips(self, *args: Any) -> Any:
        self.happen(self.count)
        self.count += 1
        return self.source.clips(*args)


def raising(source: ClipSource, error: type[BaseException], *, at: int) -> Watched:
    """The source, which raises when clip number `at` is asked for."""

    def happen(count: int) -> None:
        if count == at:
            raise error

    return Watched(source, happen)
