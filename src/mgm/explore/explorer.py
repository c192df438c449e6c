"""The state that the routes of the explorer share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mgm.explore.kernels import KernelLoader
from mgm.explore.library import Library
from mgm.explore.reading import ClipReader
from mgm.explore.request import DEFAULT_MASK, ClipRequest, TokenSizes

if TYPE_CHECKING:
    from mgm.explore.model import RunPanels


@dataclass(slots=True)
class Explorer:
    """What the routes share.

    Attributes:
        place: the folder, set or video that is explored, to show; "" for uploads alone.
        panels: of the run; None without one, and until it is opened.
        opening: whether the run is being opened: the page waits, since frames, stride and mask are those of the run.
        kernels: are compiled while it serves; None: before.
        uploading: uploads that arrive now.
    """

    library: Library
    reader: ClipReader
    place: str = ""
    panels: RunPanels | None = None
    opening: bool = False
    kernels: KernelLoader | None = None
    uploading: int = 0

    @property
    def tokens(self) -> TokenSizes:
        """Of the run, or the usual ones."""
        return TokenSizes() if self.panels is None else self.panels.tokens

    @property
    def fixed(self) -> ClipRequest | None:
        """The clips of the run; None without one: frames and stride can be chosen."""
        return None if self.panels is None else self.panels.clips

    @property
    def delay(self) -> Literal["starting", "compiling"] | None:
        """Why pictures take longer now: processes start, or loops are compiled."""
        if not self.reader.ready:
            return "starting"
        return "compiling" if self.kernels is not None and self.kernels.compiling else None

    @property
    def mask(self) -> Mapping[str, Any]:
        """The mask to begin with."""
        return DEFAULT_MASK if self.panels is None else self.panels.mask
