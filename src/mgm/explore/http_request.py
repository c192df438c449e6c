"""What an HTTP request to the explorer carries: its explorer, session, video, and the JSON of its body."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mgm.errors import MgmError
from mgm.explore.explorer import Explorer
from mgm.explore.library import Video
from mgm.explore.request import (
    ClipRequest,
    MaskRequest,
    as_mapping,
    invalid_value,
    read_clip_request,
    read_mask_request,
    read_seed,
)

if TYPE_CHECKING:
    from mgm.explore.model import RunPanels

_BODY_BYTES = 64 * 2**10
_MOST_MASKS = 2


def explorer_of(request: Request) -> Explorer:
    """The state that the routes share."""
    explorer: Explorer = request.app.state.explorer
    return explorer


def session_of(request: Request) -> str:
    """The id of the visitor's session."""
    session: str = request.headers["x-session"]  # the guard knows it
    return session


def panels_of(explorer: Explorer) -> RunPanels:
    """The panels of the run; HTTPException without one."""
    if explorer.panels is None:
        raise HTTPException(404, "the explorer was started without --run")
    return explorer.panels


async def read_body(request: Request) -> Mapping[str, Any]:
    """The object of JSON that a request carries."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_BYTES:
            raise HTTPException(413, "the request is too large")
    try:
        return as_mapping("request", json.loads(body))
    except (ValueError, RecursionError) as error:
        if isinstance(error, MgmError):
            raise
        raise HTTPException(400, "the request is not JSON") from error


async def requested_video(request: Request, asked: Mapping[str, Any]) -> Video:
    """The video that the body of a request names; VideoError if the session has none of this id."""
    wanted = asked.get("video")
    explorer, session = explorer_of(request), session_of(request)
    found: Video = await run_in_threadpool(explorer.library.find, session, wanted if isinstance(wanted, str) else "")
    return found


def requested_clip(explorer: Explorer, asked: Mapping[str, Any]) -> ClipRequest:
    """The clip that the body of a request asks for."""
    return read_clip_request(asked.get("clip"), explorer.tokens, fixed=explorer.fixed)


@dataclass(frozen=True, slots=True)
class RequestedMasks:
    """One or two masks over a clip that a page asks for."""

    explorer: Explorer
    video: Video
    clip: ClipRequest
    rules: list[MaskRequest]
    seed: int

    def each(self, describe: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
        """Read the clip, if it is not kept, and call `describe` with every mask."""
        clip, grid = self.explorer.reader.clip(self.video, self.clip), self.explorer.tokens.grid(self.clip.frames)
        return [describe(clip, grid, rule, seed=self.seed, start=self.clip.start) for rule in self.rules]


async def requested_masks(request: Request) -> RequestedMasks:
    """The masks that a request asks for, and the clip under them."""
    explorer, asked = explorer_of(request), await read_body(request)
    video, wanted = await requested_video(request, asked), requested_clip(explorer, asked)
    return RequestedMasks(explorer, video, wanted, _mask_rules(asked), read_seed(asked))


def _mask_rules(asked: Mapping[str, Any]) -> list[MaskRequest]:
    given = asked.get("masks")
    if not isinstance(given, list) or not 1 <= len(given) <= _MOST_MASKS:
        raise invalid_value("masks", given, f"a list of 1 to {_MOST_MASKS} masks")
    return [read_mask_request(one) for one in given]
