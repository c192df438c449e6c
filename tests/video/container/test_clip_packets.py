"""Streams in which a packet is not a frame: their clips equal a plain decode, and they are not reported as damaged."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mgm.video import VideoReader, iter_motion_vectors, read_clip, read_motion
from mgm.video.clip.whole_video import motion_chunks
from mgm.video.container.metadata import read_video_info
from mgm.video.container.stream import open_video, packets
from mgm.video.motion.cache import build_sidecar, open_sidecar
from mgm.video.scan.folder import scan_videos
from mgm.video.transcode.encode import transcode_video
from tests.video.clips import VELOCITY, decode_whole, encode_moving
from tests.video.fields_stream import field_pictures
from tests.video.transcode.pictures import KEEP


def check(path: Path, *, draws: int = 12, motion: str | None = None) -> None:
    """Compare random clips, each of its own opening and of a shared one, with a plain decode."""
    whole = decode_whole(path)
    assert read_video_info(path).frames == len(whole) == sum(1 for _ in iter_motion_vectors(path))
    (record,) = scan_videos(path)
    assert record.readable
    assert record.frames == len(whole)
    rng = np.random.default_rng(0)
    with VideoReader(path) as reader:
        for start in [0, len(whole) - 1, *rng.integers(len(whole), size=draws).tolist()]:
            query = {"start": start, "frames": 2, "stride": int(rng.integers(1, 4)), "size": None, "motion": motion}
            for clip in (reader.read_clip(**query), read_clip(path, **query)):
                assert clip.frame_indices[0] == start
                np.testing.assert_array_equal(clip.frames, whole[clip.frame_indices], err_msg=str(query))


def check_times(path: Path) -> None:
    """Times ascend evenly, and each leads back to its frame."""
    with VideoReader(path) as reader:
        times = reader.read_clip(frames=None, stride=1, size=16, motion=None).pts_seconds
        np.testing.assert_allclose(np.diff(times), 1 / 25, atol=1e-3)
        np.testing.assert_array_equal(times, reader.read_motion(motion="auto").pts_seconds)
        for number in (0, 7, len(times) // 2 + 1, len(times) - 1):
            clip = reader.read_clip(start_seconds=times[number], frames=1, size=16, motion=None)
            assert clip.frame_indices.tolist() == [number]


def copy_packets(
    source: Path, target: Path, change: Callable[[list[av.Packet]], Iterable[av.Packet]], **options: str
) -> Path:
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in change([p for p in given.demux(video=0) if p.size]):
            packet.stream = stream
            out.mux(packet)
    return target


def from_second_key(packets: list[av.Packet]) -> list[av.Packet]:
    return packets[[i for i, p in enumerate(packets) if p.is_keyframe][1] :]


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"g": 8, "x264-params": "open-gop=1"}),
        ("libx265", {"g": 8, "preset": "ultrafast", "x265-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:log-level=none"}),
        ("mpeg2video", {"g": 8, "bf": 2, "b": "2M"}),
    ],
)  # fmt: skip
def test_cut_at_the_key_picture_of_an_open_group(
    tmp_path: Path, codec: str, options: dict[str, str | int], suffix: str
):
    """As cut by `ffmpeg -ss ... -c copy` and broadcasts: the first pictures refer to missing ones, and players skip them."""
    source = encode_moving(tmp_path / f"source.{suffix}", frames=40, codec=codec, options=options)
    cut = copy_packets(source, tmp_path / f"cut.{suffix}", from_second_key)
    check(cut, motion="auto")


def test_cut_in_the_middle_of_a_group(tmp_path: Path):
    data = encode_moving(tmp_path / "whole.ts", frames=48, options={"g": 12}).read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[len(data) // 188 // 4 * 188 :])
    assert 12 < len(decode_whole(cut)) < 48
    check(cut, motion="codec")


@pytest.mark.parametrize("suffix", ["mpg", "ts"])
def test_a_clock_that_starts_again(tmp_path: Path, suffix: str):
    """Two recordings in one file, as VOBs are put together."""
    options = {"g": 8, "bf": 2, "b": "2M"}
    one = encode_moving(tmp_path / f"one.{suffix}", frames=30, codec="mpeg2video", options=options)
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(one.read_bytes() * 2)
    check(both)
    check_times(both)


def two_in_one(packets: list[av.Packet]) -> Iterable[av.Packet]:
    """As DivX packs a B-picture with the picture that it refers to; a placeholder follows in its place."""
    vop, user_data = b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p"
    kinds = [bytes(packet)[bytes(packet).index(vop) + 4] >> 6 for packet in packets]
    for number, packet in enumerate(packets):
        data = bytes(packet)
        if number + 1 < len(packets) and kinds[number + 1] == 2:
            data += bytes(packets[number + 1])
        elif kinds[number] == 2:
            data = vop + b"\x7f"
        new = av.Packet(data.replace(vop, user_data + vop, 1) if packet.is_keyframe else data)
        new.pts = new.dts = number
        new.time_base, new.is_keyframe = Fraction(1, 25), packet.is_keyframe
        yield new


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_two_pictures_in_one_packet(tmp_path: Path, suffix: str):
    source = encode_moving(tmp_path / "source.avi", frames=40, codec="mpeg4", options={"g": 8, "bf": 1})
    path = copy_packets(source, tmp_path / f"packed.{suffix}", two_in_one)
    assert len(decode_whole(path)) == 40
    check(path, motion="auto")
    found, right = (read_motion(one, motion="auto").motion for one in (path, source))
    np.testing.assert_allclose(found.vectors, right.vectors, atol=1e-5)
    pieces = np.concatenate([piece.motion.vectors for piece in motion_chunks(path)])
    # Between the first frames, whose times are two units apart, no reader of the times alone can do better.
    assert np.abs(np.median(pieces[3:], axis=(1, 2)) - VELOCITY).max() < 0.1
    with VideoReader(path) as reader:
        times = reader.read_clip(frames=None, stride=1, size=16, motion=None).pts_seconds
        assert (np.diff(times) >= 0).all()
        for number in (0, 7, 21):
            last = np.flatnonzero(times == times[number])[-1]  # two frames may have one time
            clip = reader.read_clip(start_seconds=times[number], frames=1, size=16, motion=None)
            assert clip.frame_indices.tolist() == [last]


@pytest.mark.parametrize(
    ("suffix", "codec", "change"),
    [
        ("mkv", "libx264", lambda packets: packets[1:]),
        ("mp4", "libx264", lambda packets: packets[1:]),
        ("ts", "libx264", lambda packets: packets[1:]),
        ("mpg", "mpeg2video", lambda packets: packets[1:]),
        ("mkv", "libx264", lambda packets: [p for n, p in enumerate(packets) if n not in (3, 4, 9)]),
    ],
)
def test_counted_frames_keep_their_times(tmp_path: Path, suffix: str, codec: str, change):
    """A stream whose first frames cannot be decoded begins late: a time that a clip gives leads back to its frame, and fits a
    sidecar of the file."""
    source = encode_moving(tmp_path / "source.mp4", frames=40, codec=codec, options={"g": 8, "bf": 2, "b": "2M"})
    path = copy_packets(source, tmp_path / f"cut.{suffix}", change)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
    with VideoReader(path) as reader:
        clip = reader.read_clip(frames=None, stride=1, size=16, motion=None)
        np.testing.assert_allclose(clip.pts_seconds, shown)
        for number in (0, 9, len(shown) - 1):
            found = reader.read_clip(start_seconds=shown[number], frames=1, size=16, motion=None)
            assert found.frame_indices.tolist() == [number]
    built = build_sidecar(path)
    with VideoReader(path, sidecar=open_sidecar(path)) as reader:
        assert (reader.read_motion().pts_seconds == clip.pts_seconds).all()
        assert reader._sidecars.argument is not None, f"{built} was refused"


def test_two_frames_of_one_time(tmp_path: Path):
    def doubled(packets: list[av.Packet]) -> Iterable[av.Packet]:
        for number, packet in enumerate(packets):
            if number % 5 == 4:
                packet.pts = packet.dts = packets[number - 1].pts
            yield packet

    source = encode_moving(tmp_path / "source.mkv", frames=24, options={"g": 8, "bf": 0})
    check(copy_packets(source, tmp_path / "doubled.mkv", doubled), motion="codec")


@pytest.mark.parametrize("name", ["raw.h264", "apart.mkv", "apart.ts", "apart.mp4", "together.mkv", "together.mp4"])
def test_fields_as_pictures_of_their_own(tmp_path: Path, name: str):
    """PAFF, as in interlaced broadcasts: two packets a frame in some files, one in others."""
    pictures = field_pictures(60, gop=8)
    raw = tmp_path / "raw.h264"
    raw.write_bytes(b"".join(first + second for first, second, _ in pictures))
    path = tmp_path / name
    if name != "raw.h264":
        with av.open(str(raw)) as given, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(given.streams.video[0])
            for number, (first, second, key) in enumerate(pictures):
                parts = [first + second] if name.startswith("together") else [first, second]
                for field, data in enumerate(parts):
                    packet = av.Packet(data)
                    packet.time_base = Fraction(1, 50)
                    packet.pts = packet.dts = 2 * number + field
                    packet.is_keyframe = key and not field
                    packet.stream = stream
                    out.mux(packet)
    assert len(decode_whole(path)) >= 59
    check(path)


def test_an_edit_list_that_takes_packets_out_of_the_index(tmp_path: Path):
    path = encode_moving(tmp_path / "edited.mp4", frames=24, options={"g": 6, "bf": 0})
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # the duration of its first entry, in milliseconds
    data[at : at + 4] = (520).to_bytes(4, "big")
    path.write_bytes(data)
    assert len(decode_whole(path)) == 13
    check(path, motion="codec")


def shown_when_decoded(packets: list[av.Packet]) -> list[av.Packet]:
    """As writers without composition times do."""
    start = packets[0].dts
    for packet in packets:
        packet.pts = packet.dts = packet.dts - start
    return packets


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.ts", "libx264", {"bf": 2}),
        ("a.mp4", "libx264", {"bf": 3, "b-pyramid": "normal"}),
        ("a.flv", "libx264", {"bf": 2}),
        ("a.ts", "libx265", {"x265-params": "bframes=2:log-level=none"}),
        ("a.mp4", "mpeg4", {"bf": 2}),
        ("a.ts", "mpeg2video", {"bf": 2, "b": "2M"}),
        ("a.mkv", "mpeg4", {"bf": 2}),
    ],
)
def test_presentation_times_that_are_decoding_times(tmp_path: Path, name: str, codec: str, options):
    source = encode_moving(tmp_path / f"right_{name}", frames=40, codec=codec, options={"g": 12, **options})
    path = copy_packets(source, tmp_path / name, shown_when_decoded)
    check(path, motion="auto")
    np.testing.assert_array_equal(decode_whole(path), decode_whole(source))
    right, (record,), (expected,) = read_motion(source, motion="auto").motion, scan_videos(path), scan_videos(source)
    np.testing.assert_allclose(read_motion(path, motion="auto").motion.vectors, right.vectors, atol=1e-5)
    assert not record.variable_rate
    assert record.motion == pytest.approx(expected.motion)
    with VideoReader(path) as reader:
        assert reader.read_clip(start_seconds=0.5, frames=1, motion=None).frame_indices.tolist() == [12]
    transcode_video(path, tmp_path / "out.mp4", KEEP)
    made = read_clip(tmp_path / "out.mp4", frames=None, stride=1, size=None, motion=None)
    assert np.abs(made.frames - decode_whole(source).astype(int)).mean() < 4
    np.testing.assert_allclose(np.diff(made.pts_seconds), 1 / 25, atol=1e-3)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"bf": 2}),
        ("libx264", {"bf": 3, "b-pyramid": "normal"}),
        ("mpeg2video", {"bf": 2, "b": "2M"}),
        ("mpeg4", {"bf": 2}),
    ],
)
def test_asf_stores_the_times_of_decoding(tmp_path: Path, codec: str, options: dict[str, str | int]):
    """Those of showing are made up from them, later by a constant."""
    source = encode_moving(tmp_path / "source.mkv", frames=40, codec=codec, options={"g": 12, **options})
    path = copy_packets(source, tmp_path / "a.asf", list)
    check(path, motion="auto")
    np.testing.assert_array_equal(decode_whole(path), decode_whole(source))
    right = read_motion(source, motion="auto").motion
    np.testing.assert_allclose(read_motion(path, motion="auto").motion.vectors, right.vectors, atol=1e-5)


@pytest.mark.parametrize(
    ("gop", "bf", "change", "timed"),
    [
        # as in professional formats: nothing is reordered, although the stream permits it
        (1, 0, shown_when_decoded, True),
        (12, 0, list, True),
        (12, 2, list, True),
        (12, 2, shown_when_decoded, False),
    ],
)
@pytest.mark.parametrize("suffix", ["mkv", "mov", "ts"])
def test_times_are_trusted_where_they_can_be_right(tmp_path: Path, gop: int, bf: int, change, timed: bool, suffix: str):
    options = {"g": gop, "bf": bf, "b": "2M"}
    source = encode_moving(tmp_path / f"source.{suffix}", codec="mpeg2video", options=options)
    path = copy_packets(source, tmp_path / f"a.{suffix}", change)
    with open_video(path, vectors=False) as video:
        assert video.reordered
        assert next(packets(video)).is_keyframe
        assert video.timed is timed


@pytest.mark.parametrize("suffix", ["avi", "flv", "mkv", "mp4", "ts"])
@pytest.mark.parametrize("refresh", [0, 1])
def test_first_packets_without_a_frame(tmp_path: Path, suffix: str, refresh: int):
    """A recorder that starts between keyframes, or within a periodic refresh, which containers mark as a keyframe."""
    options = {"g": 12, "bf": 0 if refresh else 2, "x264-params": f"intra-refresh={refresh}"}
    source = encode_moving(tmp_path / f"whole.{suffix}", frames=40, options=options)
    cut = copy_packets(source, tmp_path / f"cut.{suffix}", from_second_key if refresh else lambda packets: packets[2:])
    assert len(decode_whole(cut)) < 30
    check(cut, motion="codec")
    (record,) = scan_videos(cut)
    assert record.motion == pytest.approx(np.hypot(*VELOCITY), rel=0.15)
