"""The routes of the explorer. Work that blocks runs in threads; videos are read in other processes (`reading`)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mgm.errors import MgmError, VideoError
from mgm.explore.controls import describe_masks
from mgm.explore.explorer import Explorer
from mgm.explore.guard import LOOPBACK, Guard, is_token
from mgm.explore.http_request import (
    explorer_of,
    panels_of,
    read_body,
    requested_clip,
    requested_masks,
    requested_video,
    session_of,
)
from mgm.explore.library import Video
from mgm.explore.pictures import colours, describe_clip, describe_draws, describe_mask, jpeg, json_number
from mgm.explore.reproduce import command_line, python_lines
from mgm.explore.request import (
    CAMERAS,
    MOST_FRAMES,
    MOST_STRIDE,
    READINGS,
    SOURCES,
    ClipRequest,
    neighbours,
    read_mask_request,
    read_seed,
)
from mgm.printable import printable
from mgm.terminal import note

PAGE = Path(__file__).parent / "page"
_UPLOADS_AT_ONCE = 4


def create_app(explorer: Explorer, *, token: str, hosts: frozenset[str] = LOOPBACK) -> Starlette:
    """The web application; see `Guard` for `token` and `hosts`."""
    routes = [
        Route("/", _page(token)),
        Mount("/page", StaticFiles(directory=PAGE)),
        Route("/api/session", _open_session, methods=["POST"]),
        Route("/api/start", _start, methods=["POST"]),
        Route("/api/videos", _videos, methods=["POST"]),
        Route("/api/summary", _summary, methods=["POST"]),
        Route("/api/upload", _upload, methods=["POST"]),
        Route("/api/clip", _clip, methods=["POST"]),
        Route("/api/masks", _masks, methods=["POST"]),
        Route("/api/draws", _draws, methods=["POST"]),
        Route("/api/model", _model, methods=["POST"]),
        Route("/api/map", _map, methods=["POST"]),
        Route("/api/error", _error, methods=["POST"]),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, hosts=hosts, library=explorer.library)],
        exception_handlers={MgmError: _failed, HTTPException: _refused, Exception: _broken},
    )
    app.state.explorer = explorer
    return app


def _page(token: str) -> Callable[[Request], Any]:
    async def page(request: Request) -> Response:
        """The page, for a request with the token."""
        if not is_token(request.query_params.get("token", ""), token):
            return PlainTextResponse("The token is missing or wrong. Open the address that mgm explore printed.\n", 403)
        return FileResponse(PAGE / "index.html")

    return page


async def _open_session(request: Request) -> Response:
    return JSONResponse({"session": explorer_of(request).library.open_session()})


async def _start(request: Request) -> Response:
    """The choices that the page offers; while a run is opened, only that it is, so that the page asks again."""
    explorer = explorer_of(request)
    if explorer.opening:
        return JSONResponse({"delay": "opening"})
    limits = explorer.library.limits
    return JSONResponse(
        {
            "place": explorer.place,
            "delay": explorer.delay,
            "masks": await run_in_threadpool(describe_masks),
            "mask": dict(explorer.mask),
            "sources": SOURCES,
            "readings": READINGS,
            "cameras": CAMERAS,
            "clip": asdict(explorer.fixed or ClipRequest()) | {"most_frames": MOST_FRAMES, "most_stride": MOST_STRIDE},
            "fixed": explorer.fixed is not None,
            "tubelet": explorer.tokens.tubelet,
            "colours": await run_in_threadpool(colours),
            "limits": {"bytes": limits.upload_bytes, "uploads": limits.uploads},
            "run": None if explorer.panels is None else explorer.panels.about(),
        }
    )


async def _videos(request: Request) -> Response:
    explorer = explorer_of(request)
    shown = [{"id": v.id, "name": v.name, "own": v.own} for v in explorer.library.videos(session_of(request))]
    return JSONResponse({"videos": shown})


async def _summary(request: Request) -> Response:
    video = await requested_video(request, await read_body(request))
    return JSONResponse(await run_in_threadpool(_describe_video, explorer_of(request), video))


def _describe_video(explorer: Explorer, video: Video) -> dict[str, Any]:
    found = explorer.reader.summary(video)
    return {
        "id": video.id,
        "name": video.name,
        "own": video.own,
        "frames": found.frames,
        "height": found.height,
        "width": found.width,
        "seconds": None if found.seconds is None else json_number(found.seconds, 2),
        "motion": None if found.motion is None else json_number(found.motion, 3),
        "thumbnail": jpeg(found.thumbnail),
    }


async def _upload(request: Request) -> Response:
    """One file as the body of the request; refused by its declared length, by its real length, and by time."""
    explorer, session = explorer_of(request), session_of(request)
    limits = explorer.library.limits
    if _declared(request) > limits.upload_bytes:
        raise _too_large(limits.upload_bytes)
    if explorer.uploading >= _UPLOADS_AT_ONCE:
        raise HTTPException(429, "others are uploading; try again in a minute")
    name = Path(request.query_params.get("name", "upload").replace("\\", "/")).name
    path = explorer.library.upload_path(session)
    explorer.uploading += 1
    try:
        with anyio.fail_after(limits.upload_seconds):
            if not await _receive(request, path, limits.upload_bytes):
                raise HTTPException(422, f"{printable(name)} is empty (0 bytes)")
        video = explorer.library.add(session, path, name)
        try:
            described = await run_in_threadpool(_describe_video, explorer, video)
        except MgmError:
            explorer.library.remove(session, video)
            raise
    except TimeoutError:
        path.unlink(missing_ok=True)
        raise HTTPException(408, f"the upload took more than {limits.upload_seconds:g} s") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        explorer.uploading -= 1
    return JSONResponse(described)


async def _receive(request: Request, path: Path, most: int) -> int:
    """The number of bytes that arrived."""
    received = 0
    with path.open("xb") as file:
        async for part in request.stream():
            received += len(part)
            if received > most:
                raise _too_large(most)
            file.write(part)
    return received


async def _clip(request: Request) -> Response:
    explorer, asked = explorer_of(request), await read_body(request)
    video, wanted = await requested_video(request, asked), requested_clip(explorer, asked)

    def describe() -> dict[str, Any]:
        """Read and describe the clip, in a thread of its own."""
        began = time.perf_counter()
        clip = explorer.reader.clip(video, wanted)
        described = describe_clip(clip, explorer.tokens.grid(wanted.frames))
        if explorer.delay is None:
            explorer.reader.expect(video, neighbours(wanted, explorer.tokens, fixed=explorer.fixed is not None))
        return described | {"seconds": time.perf_counter() - began, "delay": explorer.delay}

    return JSONResponse(await run_in_threadpool(describe))


async def _masks(request: Request) -> Response:
    """One or two masks over a clip, and the lines that reproduce them."""
    asked = await requested_masks(request)

    def draw() -> dict[str, Any]:
        """Draw the masks, in a thread of its own."""
        lines = (asked.video.name if asked.video.own else asked.video.path, asked.clip, asked.explorer.tokens)
        return {
            "masks": asked.each(describe_mask),
            "delay": asked.explorer.delay,
            "command": command_line(*lines, asked.rules, asked.seed),
            "python": python_lines(*lines, asked.rules, asked.seed),
        }

    return JSONResponse(await run_in_threadpool(draw))


async def _draws(request: Request) -> Response:
    """The statistics over many draws of the same masks."""
    asked = await requested_masks(request)
    return JSONResponse(await run_in_threadpool(lambda: {"draws": asked.each(describe_draws)}))


async def _model(request: Request) -> Response:
    """What the run's model makes of the clip under the first mask."""
    explorer, asked = explorer_of(request), await read_body(request)
    panels = panels_of(explorer)
    video, wanted = await requested_video(request, asked), requested_clip(explorer, asked)
    rule, seed = read_mask_request(asked.get("mask")), read_seed(asked)

    def show() -> dict[str, Any]:
        """Run the model, in a thread of its own."""
        clip = explorer.reader.clip(video, wanted)
        return panels.describe(clip, rule, seed=seed, start=wanted.start, asked=asked)

    return JSONResponse(await run_in_threadpool(show))


async def _map(request: Request) -> Response:
    explorer = explorer_of(request)
    panels, session, asked = panels_of(explorer), session_of(request), await read_body(request)
    videos, method = explorer.library.videos(session), asked.get("method", "pca")
    return JSONResponse(await run_in_threadpool(panels.map, videos, explorer.reader, method))


async def _error(request: Request) -> Response:
    """The loss of the run's model on a video."""
    explorer = explorer_of(request)
    panels, video = panels_of(explorer), await requested_video(request, await read_body(request))
    return JSONResponse({"error": await run_in_threadpool(panels.error, video, explorer.reader)})


def _declared(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        413,
        f"the file is larger than {most // 2**20} MB, the limit of an upload; name its folder when you start mgm explore",
    )


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, MgmError)
    missing = isinstance(error, VideoError) and error.reason == "not_found"
    return JSONResponse({"reason": error.reason, "message": error.line}, 404 if missing else 422)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"reason": "refused", "message": error.detail}, error.status_code)


async def _broken(request: Request, error: Exception) -> Response:
    if not isinstance(error, ClientDisconnect):
        logging.getLogger("uvicorn.error").debug("failed", exc_info=error)
        note(f"{request.url.path} failed: {type(error).__name__}: {error}", topic="explore")
    return JSONResponse({"reason": "other", "message": "the explorer failed; its terminal says why"}, 500)
