"""State that comes with the first packet, or with one in the middle, holds for clips after a seek, too."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import PacketSideData

from mgm.video import VideoReader, read_clip
from tests.video.clips import decode_whole, encode_moving


def write_indexed(path: Path, *, codec: str, palettes: int, frames: int = 24) -> Path:
    """Pictures of numbers whose colours are in a palette; `palettes` follow each other."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (palettes, 256, 4), np.uint8)
    colours[..., 3] = 255
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "pal8"
        for number in range(frames):
            numbers = random.integers(0, 256, (24, 32), np.uint8)
            picture = av.VideoFrame.from_ndarray((numbers, colours[number * palettes // frames]), format="pal8")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "palettes"),
    [
        ("a.avi", "rawvideo", 1),
        ("a.avi", "msrle", 1),
        ("a.avi", "msrle", 3),
        ("a.avi", "zmbv", 1),
        ("a.mov", "rawvideo", 3),
        ("a.mov", "rawvideo", 1),
        ("a.mov", "png", 1),
        ("a.avi", "rawvideo", 3),
    ],
)
def test_a_palette_holds_for_every_clip(tmp_path: Path, name: str, codec: str, palettes: int):
    path = write_indexed(tmp_path / name, codec=codec, palettes=palettes)
    whole = decode_whole(path)
    assert len(np.unique(whole[0])) > 50
    with VideoReader(path) as reader:
        for start in (0, 1, 12, 23, 5, 17, 0):
            for clip in (reader.read_clip, lambda **query: read_clip(path, **query)):
                frames = clip(start=start, frames=1, size=None, motion=None).frames
                np.testing.assert_array_equal(frames[0], whole[start], err_msg=str(start))


@pytest.mark.parametrize("name", ["a.flv", "a.mp4"])
def test_new_parameter_sets_hold_for_every_clip_after_them(tmp_path: Path, name: str):
    """Two recordings with other settings of the encoder in one file; the second set comes with its first packet."""
    settings = ({"bf": 2}, {"bf": 0, "x264-params": "cabac=0:8x8dct=0:weightp=0"})
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        stream = None
        for number, options in enumerate(settings):
            part = encode_moving(tmp_path / f"{number}.flv", frames=24, options={"g": 8, **options})
            with av.open(str(part)) as given:
                stream = stream or out.add_stream_from_template(given.streams.video[0])
                sets = given.streams.video[0].codec_context.extradata
                for position, packet in enumerate(p for p in given.demux(video=0) if p.size):
                    if number and not position:
                        state = PacketSideData(1, len(sets))  # AV_PKT_DATA_NEW_EXTRADATA
                        state.update(sets)
                        packet.set_sidedata(state)
                    later = round(number * 24 / 25 / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, stream
                    out.mux(packet)
    whole = decode_whole(path)
    assert len(whole) == 48
    with VideoReader(path) as reader:
        for start in (40, 24, 0, 33, 47, 10, 26):
            for clip in (reader.read_clip, lambda **query: read_clip(path, **query)):
                frames = clip(start=start, frames=1, size=None).frames
                np.testing.assert_array_equal(frames[0], whole[start], err_msg=str(start))
