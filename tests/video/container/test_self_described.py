"""A brief opening gives the same clips as a complete one, and is used where the file describes itself."""

import io
from pathlib import Path

import numpy as np
import pytest

from mgm.video import read_clip
from mgm.video.container.formats import open_container
from mgm.video.container.self_described import open_self_described
from mgm.video.container.stream import open_video, packets
from tests.video.clips import encode_moving, remux


@pytest.mark.parametrize(
    "options",
    [
        {"bf": 3},
        {"bf": 0},
        {"bf": 3, "x264-params": "b-pyramid=none:open-gop=1", "g": 8},
        {"bf": 2, "x264-params": "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:overscan=show"},
        {"bf": 3, "x264-params": "sar=300/199:fullrange=on:colormatrix=bt709:chromaloc=2"},
        {"bf": 3, "profile": "main"},
    ],
    ids=["b-frames", "p-frames", "open groups", "buffer", "colours", "main"],
)
def test_clips_are_those_of_a_complete_opening(tmp_path: Path, options: dict[str, str | int]):
    path = encode_moving(tmp_path / "a.mp4", options=options)
    facts = []
    for brief in (False, True):
        with open_video(path, vectors=False, brief=brief) as video:
            stream = video.stream
            packet_facts = [(p.pts, p.dts, p.size, p.is_keyframe) for p in packets(video)]
            facts.append(
                (
                    "mp4" in video.container.format.name,
                    video.reordered,
                    video.timed,
                    video.rate,
                    video.time_base,
                    stream.start_time,
                    stream.frames,
                    packet_facts,
                )
            )
    assert facts[0] == facts[1]
    assert facts[0][:2] == (True, bool(options["bf"]))
    brief_container = open_self_described(str(path), f"file:{path}", {})
    assert brief_container is not None
    brief_container.close()
    # Bytes are opened completely.
    for start in (0, 9):
        brief_clip, complete = (
            read_clip(v, start=start, frames=5, stride=3, size=48) for v in (path, io.BytesIO(path.read_bytes()))
        )
        np.testing.assert_array_equal(brief_clip.frames, complete.frames)
        np.testing.assert_array_equal(brief_clip.pts_seconds, complete.pts_seconds)
        assert brief_clip.motion is not None
        assert complete.motion is not None
        np.testing.assert_array_equal(brief_clip.motion.vectors, complete.motion.vectors)


def test_files_that_do_not_describe_themselves_are_opened_completely(tmp_path: Path, ordinary: Path):
    baseline = encode_moving(tmp_path / "mpeg4.mp4", codec="mpeg4")
    fragmented = remux(ordinary, tmp_path / "fragments.mp4", options={"movflags": "frag_keyframe+empty_moov"})
    transport = remux(ordinary, tmp_path / "a.ts")
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(ordinary.read_bytes()[:400])
    for path in (baseline, fragmented, transport, damaged):
        assert open_self_described(str(path), f"file:{path}", {}) is None
    for path in (baseline, fragmented, transport):
        with open_container(str(path), brief=True) as container:
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_declared_reordering_counts_where_no_picture_is_reordered(tmp_path: Path):
    """The container alone shows the order of the pictures it has; a decoder waits for those that the stream declares."""
    path = encode_moving(tmp_path / "a.mp4", frames=2, options={"bf": 3})
    for brief in (False, True):
        with open_video(path, vectors=False, brief=brief) as video:
            assert video.reordered
            assert bool(video.stream.codec_context.has_b_frames) is not brief
