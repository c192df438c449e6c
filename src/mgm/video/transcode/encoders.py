"""The H.264 encoders of `mgm prepare`, and the options of FFmpeg that give each of them the properties of a profile.

The options of an encoder are what it is asked for; `check_result` finds out whether the file has the properties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mgm.errors import VideoError
from mgm.video.transcode.profiles import Profile

_LAMBDA = 118
"""FFmpeg's FF_QP2LAMBDA: the unit of `global_quality` where the flag `qscale` is set."""
_WORST = 51
"""The largest quality factor."""


@dataclass(frozen=True, slots=True)
class VideoEncoder:
    """An H.264 encoder.

    Attributes:
        name: as `--encoder` has it.
        codec: FFmpeg's name.
        options: FFmpeg's options for a profile.
        pixel_format: of the pictures that it takes.
        upload: FFmpeg's name of the device into whose memory they are copied first; None: the encoder does that itself.
        needs: what it needs beside FFmpeg.
    """

    name: str
    codec: str
    options: Callable[[Profile], dict[str, str]]
    pixel_format: str = "nv12"
    upload: str | None = None
    needs: str = ""


def _x264(profile: Profile) -> dict[str, str]:
    # cpu-independent: otherwise x264's macroblock tree gives the same frames other bytes from run to run.
    params = ["cpu-independent=1", f"keyint={profile.gop}"]
    if profile.stride is not None:
        params += [f"min-keyint={profile.gop}", "scenecut=0", "b-adapt=0", "b-pyramid=none", "open-gop=1"]
    if profile.b_frames is not None:
        params += [f"bframes={profile.b_frames}", "ref=1"]
    if profile.x264:
        params.append(profile.x264)
    options = {"crf": str(profile.crf), "preset": profile.preset, "x264-params": ":".join(params), "a53cc": "0"}
    return {**options, "tune": "fastdecode"} if profile.fast else options


def _nvenc(profile: Profile) -> dict[str, str]:
    options = {**_common(profile), "rc": "vbr", "cq": str(profile.crf), "a53cc": "0", "s12m_tc": "0"}
    if profile.b_frames is not None:
        # no-scenecut and b_adapt: in the look-ahead that a preset may turn on.
        options |= {"b_ref_mode": "disabled", "no-scenecut": "1", "b_adapt": "0"}
        options["dpb_size"] = "2" if profile.b_frames else "1"
    return options | ({"coder": "cavlc"} if profile.fast else {})


def _qsv(profile: Profile) -> dict[str, str]:
    # Without the flag qscale, global_quality is the factor of ICQ, "intelligent constant quality".
    options = {**_common(profile), "global_quality": str(profile.crf), "idr_interval": "0", "a53cc": "0"}
    if profile.b_frames is not None:
        options |= {"b_strategy": "0", "adaptive_i": "0", "adaptive_b": "0", "p_strategy": "1"}
    return options | ({"cavlc": "1", "dblk_idc": "1"} if profile.fast else {})


def _amf(profile: Profile) -> dict[str, str]:
    options = {**_common(profile), "rc": "cqp"}
    options |= dict.fromkeys(("qp_i", "qp_p", "qp_b"), str(profile.crf))
    if profile.b_frames is not None:
        options |= {"max_b_frames": str(profile.b_frames), "bf_ref": "0"}
    return options | ({"coder": "cavlc", "flags": "+cgop-loop"} if profile.fast else {})


def _vaapi(profile: Profile) -> dict[str, str]:
    # global_quality: of ICQ if the driver has it, else the quantiser of CQP.
    options = {**_common(profile), "global_quality": str(profile.crf), "idr_interval": "0", "b_depth": "1"}
    options["sei"] = "identifier+timing+recovery_point"  # all but closed captions
    return options | ({"coder": "cavlc"} if profile.fast else {})


def _videotoolbox(profile: Profile) -> dict[str, str]:
    options = {**_common(profile), "flags": "+cgop+qscale", "a53cc": "0"}
    options["global_quality"] = str(round(100 * (1 - profile.crf / _WORST)) * _LAMBDA)  # 100 is the best
    if profile.b_frames is not None:
        options["max_ref_frames"] = "2" if profile.b_frames else "1"
    return options | ({"coder": "cavlc"} if profile.fast else {})


def _common(profile: Profile) -> dict[str, str]:
    """The options that all encoders of FFmpeg share; the flag cgop asks for closed groups of pictures."""
    options = {"g": str(profile.gop), "flags": "+cgop"}
    return options if profile.b_frames is None else {**options, "bf": str(profile.b_frames), "refs": "1"}


_ALL = (
    VideoEncoder("software", "libx264", _x264, pixel_format="yuv420p"),
    VideoEncoder(
        "nvenc",
        "h264_nvenc",
        _nvenc,
        pixel_format="yuv420p",
        needs="an NVIDIA GPU with an encoder (A100 and H100 have none) and its driver",
    ),
    VideoEncoder("qsv", "h264_qsv", _qsv, needs="an Intel GPU, its driver and the oneVPL runtime"),
    VideoEncoder("amf", "h264_amf", _amf, needs="an AMD GPU, its driver and the AMF runtime"),
    VideoEncoder("videotoolbox", "h264_videotoolbox", _videotoolbox, needs="a Mac with Apple silicon"),
    VideoEncoder(
        "vaapi", "h264_vaapi", _vaapi, upload="vaapi", needs="a GPU whose VA-API driver encodes H.264 (vainfo lists it)"
    ),
)
ENCODERS = {encoder.name: encoder for encoder in _ALL}
"""By name; those of hardware in the order in which "auto" tries them."""
AUTO = "auto"
"""Stands for the first of hardware that works, else "software"."""


def find_encoder(name: str) -> VideoEncoder:
    """The encoder of a name. Raises VideoError for an unknown one."""
    if name not in ENCODERS:
        expected = f"one of {', '.join((AUTO, *ENCODERS))}"
        raise VideoError(f"encoder {name!r}", "unknown", expected, reason="unknown_name")
    return ENCODERS[name]
