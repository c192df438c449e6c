"""Reading a clip, and the motion of a whole video, against other readers and against optical flow; one core for all.

    python benchmarks/video.py [VIDEO...]

For every video three files are read: itself and the results of `mgm prepare` with the profiles `motion` and `strided`. Clips
are 16 frames x stride 4 at 224 px, the whole frame stretched, from random starts, the file opened for each. On a busy machine
`--clock cpu` counts processor time, of all threads, instead of wall-clock time.

Before them, two groups of files as found, each reader in a process of its own (decord's threads go on after it has returned): short
surveillance clips of 60 to 130 frames, and the two longer clips.

Without videos it takes two real clips of ../shared/data beside the checkout, encoded with x264's defaults, or else makes one: 300
frames of 340 x 256. `requirements.txt` beside this file lists the peers. `--groups` measures the groups alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

# Before numpy, torch and OpenCV start their threads. Pin to one core, too, where the system can: mv-extractor has no option for one
# thread, and under FFmpeg's frame threads its vectors are not always correct.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import numpy as np

from apart import own_readers, time_apart
from field import DECODE, FIELD, PIXELS, time_fields, time_flow
from mgm.data.synthetic.known_motion import make_translation
from mgm.video.container.metadata import read_video_info
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.profiles import PROFILES, describe_profile
from peers import Peer, load_peers
from reading import DECORD, FRAMES, SIZE, STRIDE, clip_starts, print_clips, print_frames, time_clips
from timing import Clock, print_header, print_table

SEED = 0
DATA = Path(__file__).parents[1].parent / "shared" / "data"
REAL = DATA / "single_clips" / "mmaction2"
SHORT, SHORT_CLIPS = DATA / "surv_fights", 12
DEFAULT = ("mmaction2_demo.mp4", "mmaction2_test.mp4")


def print_reading(path: Path, peers: list[Peer], folder: Path, *, clips: int, rounds: int, clock: Clock) -> None:
    """Clips of a video and of its versions by the profiles."""
    starts = clip_starts(str(path), clips=clips, rng=np.random.default_rng(SEED))
    print(f"\nClips of {path.name} as it is, {path.stat().st_size} bytes")
    print_frames(str(path), peers, starts)
    print_clips(time_clips(str(path), peers, starts, original=None, rounds=rounds, clock=clock), peers)
    few = [peer for peer in peers if peer.name in (DECORD, "torchcodec, exact", "PyAV, as a user writes it")]
    for name in ("motion", "strided"):
        prepared = folder / f"{path.stem}-{name}.mp4"
        made = transcode_video(path, prepared, PROFILES[name])
        print(
            f"\nClips of {path.name}: {describe_profile(PROFILES[name])}; {made.bytes_out / made.bytes_in:.2f} of its bytes"
        )
        print_frames(str(prepared), few, starts)
        print_clips(time_clips(str(prepared), few, starts, original=str(path), rounds=rounds, clock=clock), few)


def print_groups(peers: list[Peer], *, rounds: int, clock: Clock) -> None:
    """Clips of the files of both groups, one from each of the short ones and six from each of the longer ones."""
    rng = np.random.default_rng(SEED)
    span = STRIDE * (FRAMES - 1) + 1
    short = [path for path in sorted(SHORT.rglob("*.mp4")) if read_video_info(path).frames >= span]
    some = short[:: max(len(short) // SHORT_CLIPS, 1)][:SHORT_CLIPS]
    longer = [REAL / file for file in DEFAULT if (REAL / file).exists()]
    groups: dict[str, list[tuple[str, int]]] = {
        "short surveillance clips": [(str(p), clip_starts(str(p), clips=1, rng=rng)[0]) for p in some],
        "longer clips": [(str(p), start) for p in longer for start in clip_starts(str(p), clips=6, rng=rng)],
    }
    names = [*(peer.name for peer in peers), *own_readers()]
    reference = DECORD if DECORD in names else "PyAV, as a user writes it"
    for name, clips in groups.items():
        if clips:
            print(f"\n{name}: {len(clips)} clips of {len({path for path, _ in clips})} files as found, a process each")
            print_table(
                time_apart(names, clips, peer=reference, rounds=rounds, clock=clock), peer=reference, unit="ms a clip"
            )


def print_motion(path: Path, peers: list[Peer], *, rounds: int, clock: Clock) -> None:
    """The field of a whole video, and optical flow."""
    print(f"\nMotion of every frame of {path.name}")
    timings = time_fields(str(path), peers, rounds=rounds, clock=clock)
    print_table(timings, peer=DECODE, unit="ms a frame", second_peer=PIXELS if PIXELS in timings else None)
    print(
        f"\nMotion of {path.name} against optical flow: one frame with its decoding, one pair at {SIZE} px without it"
    )
    timings, missing = time_flow(str(path), rounds=rounds, clock=clock)
    print_table(timings, peer=FIELD, unit="ms")
    print_missing(missing)


def print_missing(missing: dict[str, str]) -> None:
    """The peers that could not be measured."""
    for name, reason in missing.items():
        print(f"{name:44s}   not measured: {reason}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--groups", action="store_true", help="the two groups alone")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    arguments = parser.parse_args()
    peers, missing = load_peers()
    if any(peer.module.startswith("torch") for peer in peers):
        import torch

        torch.set_num_threads(1)
    print_header(
        f"{arguments.clips} clips of {FRAMES} frames x stride {STRIDE} at {SIZE} px a video, "
        f"medians of {arguments.rounds} interleaved rounds [smallest, largest], "
        f"one thread, {arguments.clock} time",
        SEED,
    )
    print_missing(missing)
    print_groups(peers, rounds=arguments.rounds, clock=arguments.clock)
    if arguments.groups:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = arguments.videos or [REAL / file for file in DEFAULT if (REAL / file).exists()]
        if not videos:
            videos = [folder / "synthetic.mp4"]
            make_translation(videos[0], velocity=(2, -1), frames=300, size=(256, 340), seed=SEED)
        for path in videos:
            print(f"\n{path.name}: {read_video_info(path)}")
            print_reading(path, peers, folder, clips=arguments.clips, rounds=arguments.rounds, clock=arguments.clock)
            print_motion(path, peers, rounds=arguments.rounds, clock=arguments.clock)


if __name__ == "__main__":
    main()
