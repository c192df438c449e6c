"""Opens containers of one file each, and nothing that the content of a file names.

FFmpeg chooses a demuxer by content and by name: a playlist, a session description or a list of files called `clip.mp4` would make
it open other files, URLs and devices. Only demuxers that read their own input are allowed, and only the protocol of that input.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import av
import av.container

from mgm.video.container.locator import Pipe
from mgm.video.container.picture_size import MOST_PICTURE_PIXELS
from mgm.video.container.self_described import open_self_described

_FORMATS = (
    "mov,matroska,avi,flv,kux,asf,mpegts,mpeg,ogg,mxf,gxf,nut,rm,ivr,wtv,dv,gif,apng,mjpeg,mpjpeg,smjpeg,mjpeg_2000,yuv4mpegpipe,"
    "swf,nuv,nsv,pva,ty,lxf,mtv,"
    "h261,h263,h264,hevc,vvc,evc,m4v,mpegvideo,av1,obu,ivf,vc1,vc1test,dirac,dnxhd,cavsvideo,avs2,avs3,"
    "dhav,hxvs,luodat,ifv,iv8,mxg,simbiosis_imx,lmlm4,cine,ser,mlv,r3d,flic,smk,bink,roq,film_cpk,filmstrip,mv,mvi,xmv,vivo,rl2,4xm,"
    "mp3,aac,wav,flac"
)
"""Demuxers by name: containers, raw streams, files of recorders and old programs. Sound is recognised to be named in the error."""


def open_container(file: str | BinaryIO | Pipe, *, brief: bool = False) -> av.container.InputContainer:
    """Open a container for reading.

    Args:
        file: a path, a file object, or a pipe.
        brief: do not examine the packets of a file that describes itself, see `open_self_described`.

    Raises:
        av.error.FFmpegError, OSError: it cannot be opened. `av.error.ArgumentError`: its format is none of those allowed.
    """
    options = {
        "format_whitelist": _FORMATS,
        "protocol_whitelist": "file" if isinstance(file, str) else "",
        "max_pixels": str(MOST_PICTURE_PIXELS),  # opening decodes the first pictures of some formats
    }
    if brief and isinstance(file, str):
        container = open_self_described(file, file_url(file), options)
        if container is not None:
            return container
    return av.open(file_url(file) if isinstance(file, str) else file, "r", options=options, metadata_errors="replace")


def file_url(path: str | Path) -> str:
    """A path for FFmpeg, which would take the part before a colon in a relative one for a protocol, such as `tcp`."""
    return f"file:{path}"
