"""The options of each encoder."""

import av
import pytest
from av.codec.codec import UnknownCodecError
from av.codec.context import CodecContext, OptionType

from mgm.video.transcode.encoders import ENCODERS
from mgm.video.transcode.profiles import PROFILES, make_profile

MOTION = {
    "software": {
        "crf": "23",
        "preset": "medium",
        "tune": "fastdecode",
        "x264-params": "cpu-independent=1:keyint=32:bframes=0:ref=1",
        "a53cc": "0",
    },
    "nvenc": {
        "g": "32",
        "bf": "0",
        "refs": "1",
        "dpb_size": "1",
        "b_ref_mode": "disabled",
        "no-scenecut": "1",
        "b_adapt": "0",
        "rc": "vbr",
        "cq": "23",
        "coder": "cavlc",
        "flags": "+cgop",
        "a53cc": "0",
        "s12m_tc": "0",
    },
    "qsv": {
        "g": "32",
        "bf": "0",
        "refs": "1",
        "idr_interval": "0",
        "b_strategy": "0",
        "adaptive_i": "0",
        "adaptive_b": "0",
        "p_strategy": "1",
        "global_quality": "23",
        "cavlc": "1",
        "dblk_idc": "1",
        "flags": "+cgop",
        "a53cc": "0",
    },
    "amf": {
        "g": "32",
        "bf": "0",
        "max_b_frames": "0",
        "refs": "1",
        "bf_ref": "0",
        "rc": "cqp",
        "qp_i": "23",
        "qp_p": "23",
        "qp_b": "23",
        "coder": "cavlc",
        "flags": "+cgop-loop",
    },
    "vaapi": {
        "g": "32",
        "bf": "0",
        "refs": "1",
        "idr_interval": "0",
        "b_depth": "1",
        "global_quality": "23",
        "coder": "cavlc",
        "sei": "identifier+timing+recovery_point",
        "flags": "+cgop",
    },
    "videotoolbox": {
        "g": "32",
        "bf": "0",
        "refs": "1",
        "max_ref_frames": "1",
        "global_quality": str(55 * 118),
        "coder": "cavlc",
        "flags": "+cgop+qscale",
        "a53cc": "0",
    },
}


@pytest.mark.parametrize("name", ENCODERS)
def test_motion(name: str):
    assert ENCODERS[name].options(PROFILES["motion"]) == MOTION[name]


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "software"])
def test_what_the_other_profiles_change(name: str):
    """Strided: B-frames up to the stride, and still one reference on each side. Compat: groups and quality alone."""
    strided = ENCODERS[name].options(make_profile("strided", stride=4, gop=16, crf=30))
    assert (strided["g"], strided["bf"], strided["refs"]) == ("16", "3", "1")
    changed = {key for key, value in strided.items() if value != MOTION[name][key]}
    quality = {"cq", "global_quality", "qp_i", "qp_p", "qp_b"}
    assert changed - quality == {"g", "bf"} | {"dpb_size", "max_b_frames", "max_ref_frames"} & strided.keys()
    compat = ENCODERS[name].options(PROFILES["compat"])
    assert compat["g"] == "250"
    assert not {"bf", "refs", "coder", "cavlc", "dpb_size", "max_ref_frames"} & compat.keys()
    assert "-loop" not in compat["flags"]


def test_the_software_encoder_has_its_references_on_the_grid():
    options = ENCODERS["software"].options(make_profile("strided", stride=8, gop=64))["x264-params"].split(":")
    assert {"keyint=64", "min-keyint=64", "bframes=7", "ref=1", "b-pyramid=none", "open-gop=1"} <= set(options)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ENCODERS)
def test_the_options_exist_in_this_ffmpeg(name: str, profile: str):
    """Names, words and ranges, as the library itself lists them: it ignores an unknown name silently."""
    encoder = ENCODERS[name]
    try:
        av.Codec(encoder.codec, "w")
    except UnknownCodecError:
        pytest.skip(f"this FFmpeg has no {encoder.codec}")
    found = CodecContext.create(encoder.codec, "w").supported_options
    known = {option.name: option for option in (*found.generic, *found.private)}
    for key, value in encoder.options(PROFILES[profile]).items():
        option = known[key]
        if value.lstrip("-").isdecimal() and option.type not in (OptionType.STRING, OptionType.FLAGS):
            assert option.min <= float(value) <= option.max, key
        elif option.type == OptionType.INT:
            assert value in [choice.name for choice in option.choices], key
