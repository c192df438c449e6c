"""`mgm prepare`: its speed against plain FFmpeg with the same settings, the files of its profiles, and strides against decord.

    python benchmarks/prepare.py [VIDEO...] [--ffmpeg PROGRAM]
    python benchmarks/prepare.py [VIDEO...] --encoder auto          # or nvenc, qsv, ...: hardware against software, per profile

One thread for all, processor time of a process and of those that it started. Plain FFmpeg decodes, scales and encodes alone:
a loop of PyAV, which has the same FFmpeg and x264, and the program `ffmpeg`, where there is one, which has its own. `mgm prepare`
decodes its result as a check, too. Quality is the PSNR of the brightness against the source, motion the cosine of its summed motion
(stride 4) with dense flow of the source's frames (experiments/motion). Clips of every stride are 16 frames at 224 px.

With `--encoder` it compares that encoder with the software encoder instead: time on the clock and of the processor, size, PSNR, and
the cosine of its summed motion with dense flow and with that of the software encoder. Only one core feeds it.

Without videos it takes two real clips of ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
sys.path.append(str(Path(__file__).parents[1] / "experiments" / "motion"))

import av
import cv2
import numpy as np
from agreement import agree, dis_maps, field_maps, grey_frames

import mgm
from mgm.errors import VideoError
from mgm.video import read_motion
from mgm.video.container.metadata import read_video_info
from mgm.video.container.stream import decode_all, open_video
from mgm.video.transcode.check import SentPictures, check_result
from mgm.video.transcode.choice import choose_encoder, try_encoder
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.encoders import ENCODERS
from mgm.video.transcode.profiles import PROFILES, Profile, describe_profile, make_profile
from peers import load_peers, read_decord
from timing import print_header, processor_seconds, ratios
from video import DEFAULT, REAL

SEED, SIZE, FRAMES, STRIDE = 0, 224, 16, 4
FLAGS = "bicubic+accurate_rnd+full_chroma_int+bitexact"  # those of `mgm prepare`
OWN = "mgm prepare"


def seconds_of(function: partial) -> float:
    """Processor time of a call, with that of the programs it starts."""

    began = processor_seconds()
    function()
    return processor_seconds() - began


def result_size(path: Path, profile: Profile) -> tuple[int, int]:
    """(width, height) of a result."""
    info = read_video_info(path)
    scale = min(profile.short_side / min(info.width, info.height), 1) if profile.short_side else 1
    return int(info.width * scale) // 2 * 2, int(info.height * scale) // 2 * 2


def plain_pyav(source: Path, target: Path, profile: Profile) -> None:
    """A loop of PyAV, as its examples have it."""
    width, height = result_size(source, profile)
    with av.open(str(source)) as given, av.open(str(target), "w", options={"movflags": "+faststart"}) as out:
        stream = given.streams.video[0]
        stream.codec_context.thread_count = 1
        graph = av.filter.Graph()
        graph.threads = 1
        graph.link_nodes(
            graph.add_buffer(template=stream),
            graph.add("scale", f"{width}:{height}:flags={FLAGS}"),
            graph.add("format", "yuv420p"),
            graph.add("buffersink"),
        ).configure()
        encoder = out.add_stream("libx264", rate=stream.average_rate, options=ENCODERS["software"].options(profile))
        encoder.codec_context.thread_count = 1
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.codec_context.time_base = stream.time_base
        for frame in given.decode(stream):
            graph.push(frame)
            scaled = graph.pull()
            scaled.pict_type = av.video.frame.PictureType.NONE
            out.mux(encoder.encode(scaled))
        out.mux(encoder.encode(None))


def plain_program(program: str, source: Path, target: Path, profile: Profile) -> None:
    """The program."""
    width, height = result_size(source, profile)
    given = ENCODERS["software"].options(profile)
    options = [argument for name, value in given.items() for argument in (f"-{name}", value)]
    command = [program, "-nostdin", "-loglevel", "error", "-y", "-threads", "1", "-i", str(source), "-an"]
    command += ["-vf", f"scale={width}:{height}:flags={FLAGS}", "-pix_fmt", "yuv420p", "-c:v", "libx264", *options]
    subprocess.run([*command, "-threads", "1", "-movflags", "+faststart", str(target)], check=True)


def sent_pictures(path: Path) -> SentPictures:
    """What the encoder of a file was sent."""
    with open_video(path, vectors=False) as video:
        sent = SentPictures(video.codec)
        for picture in decode_all(video):
            sent.height, sent.width = picture.height, picture.width
            sent.seconds.append((picture.pts or 0) * video.time_base)
    return sent


def print_speed(path: Path, profile: Profile, program: str | None, folder: Path, *, rounds: int) -> None:
    """Frames per second, and the ratio to plain transcoding."""
    made = folder / f"{path.stem}-{profile.name}-{profile.stride}.mp4"
    transcode_video(path, made, profile)
    ways = {
        "PyAV, a plain loop": partial(plain_pyav, path, folder / "pyav.mp4", profile),
        OWN: partial(transcode_video, path, made, profile),
        "the check of its result": partial(check_result, made, made, sent_pictures(made), profile),
    }
    if program:
        ways["ffmpeg, the program"] = partial(plain_program, program, path, folder / "program.mp4", profile)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in ways if number % 2 or not number else reversed(ways):
            spent = seconds_of(ways[name])
            if number:
                seconds[name].append(spent)
    frames = read_video_info(path).frames
    print(f"\n{path.name}, {frames} frames: {describe_profile(profile)}")
    for name, each in seconds.items():
        rate = frames / statistics.median(each)
        against = ""
        if name.startswith(("PyAV", "ffmpeg")):
            ratio, low, high = ratios(each, seconds[OWN])
            against = f"   mgm prepare at {ratio:.2f} of its speed [{low:.2f}, {high:.2f}]"
        print(f"{name:44s} {rate:8.0f} frames/s{against}")


def luma(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Brightness of every frame, uint8 (n, H, W), scaled to `size` (width, height)."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return np.stack([frame.reformat(*(size or (None, None)), format="gray").to_ndarray() for frame in frames])


def psnr(source: np.ndarray, result: np.ndarray) -> float:
    """Peak signal to noise ratio over a whole video, in dB."""
    return float(10 * np.log10(255**2 / np.square(source.astype(np.float32) - result).mean()))


def dense_motion(path: Path) -> tuple[int, np.ndarray]:
    """The number of its frames that are compared, and maps of their dense flow."""
    frames = grey_frames(path, stride=STRIDE, most=150)
    return len(frames), dis_maps(frames, anchor="earlier")


def motion_of(path: Path, frames: int) -> np.ndarray:
    """Maps of the summed motion of a file."""
    return field_maps(read_motion(path, frames=frames, stride=STRIDE, cache="ignore").motion)


def print_profiles(path: Path, profiles: list[Profile], folder: Path) -> None:
    """Size, quality and motion of the files."""
    frames, truth = dense_motion(path)

    def cosine(file: Path) -> float:
        return float(agree(motion_of(file, frames), truth).cosine.mean())

    print(f"\n{path.name}: {path.stat().st_size} bytes")
    print(f"{'':28s} of its bytes   PSNR in dB   cosine of its motion with dense flow")
    print(f"{'as it is':28s} {1:12.2f} {'':12s} {cosine(path):10.3f}")
    for profile in profiles:
        made = folder / f"{path.stem}-{profile.name}-{profile.stride}.mp4"
        result = luma(made)
        quality = psnr(luma(path, (result.shape[2], result.shape[1])), result)
        size = made.stat().st_size / path.stat().st_size
        print(f"{name_of(profile):28s} {size:12.2f} {quality:12.1f} {cosine(made):10.3f}")


def print_encoder(path: Path, profiles: list[Profile], encoder: str, folder: Path, *, rounds: int) -> None:
    """An encoder of hardware against the software encoder, for the profiles that it keeps."""
    frames, truth = dense_motion(path)
    print(f"\n{path.name}: {path.stat().st_size} bytes")
    for profile in profiles:
        if (error := try_encoder(encoder, profile)) is not None:
            print(f"{name_of(profile)}: {error}")
            continue
        made = {
            name: folder / f"{path.stem}-{profile.name}-{profile.stride}-{name}.mp4" for name in ("software", encoder)
        }
        clock: dict[str, list[float]] = {name: [] for name in made}
        processor: dict[str, list[float]] = {name: [] for name in made}
        for number in range(rounds + 1):
            for name in made if number % 2 else reversed(made):
                began = time.perf_counter()
                spent = seconds_of(partial(transcode_video, path, made[name], replace(profile, encoder=name)))
                if number:
                    processor[name].append(spent)
                    clock[name].append(time.perf_counter() - began)
        maps = {name: motion_of(file, frames) for name, file in made.items()}
        agreement = agree(maps[encoder], maps["software"]).cosine.mean()
        print(describe_profile(replace(profile, encoder=encoder)))
        for title, each in (("time on the clock", clock), ("processor time", processor)):
            ratio, low, high = ratios(each[encoder], each["software"])
            print(f"    {title:18s} {ratio:.2f} of software's [{low:.2f}, {high:.2f}]")
        for name, file in made.items():
            result = luma(file)
            quality = psnr(luma(path, (result.shape[2], result.shape[1])), result)
            cosine = agree(maps[name], truth).cosine.mean()
            size = file.stat().st_size / path.stat().st_size
            print(f"    {name:18s} {size:.2f} of its bytes, {quality:.1f} dB, cosine with dense flow {cosine:.3f}")
        print(f"    cosine of the two motions {agreement:.3f}")


def name_of(profile: Profile) -> str:
    """The name of a row."""
    return profile.name if profile.stride is None else f"{profile.name}, stride {profile.stride}"


def print_strides(path: Path, profiles: list[Profile], folder: Path, *, rounds: int, clips: int) -> None:
    """Clips of strided files against decord on the original."""
    frames = read_video_info(path).frames
    print(f"\n{path.name}: clips of {FRAMES} frames at {SIZE} px, the file opened for each")
    for profile in profiles:
        stride = profile.stride
        made = str(folder / f"{path.stem}-{profile.name}-{stride}.mp4")
        rng = np.random.default_rng(SEED)
        starts = (stride * rng.integers((frames - 1 - (FRAMES - 1) * stride) // stride + 1, size=clips)).tolist()

        def of_decord(starts: list[int], stride: int) -> None:
            for start in starts:
                read_decord(str(path), start + stride * np.arange(FRAMES), SIZE)

        def own(file: str, starts: list[int], stride: int) -> None:
            for start in starts:
                mgm.read_clip(file, start=start, frames=FRAMES, stride=stride, size=SIZE, crop=None)

        ways = {
            "decord, original file": partial(of_decord, starts, stride),
            "mgm, original file": partial(own, str(path), starts, stride),
            "mgm, strided file": partial(own, made, starts, stride),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name in ways if number % 2 else reversed(ways):
                spent = seconds_of(ways[name]) / clips
                if number:
                    seconds[name].append(spent)
        for name, each in seconds.items():
            ratio, low, high = ratios(each, seconds["decord, original file"])
            against = f"   {ratio:.2f} of decord, original file [{low:.2f}, {high:.2f}]" if "mgm" in name else ""
            print(f"stride {stride}: {name:36s} {statistics.median(each) * 1e3:8.2f} ms a clip{against}")


def program_of(given: str | None) -> tuple[str | None, str]:
    """The program `ffmpeg`, and a line about it."""
    program = given or shutil.which("ffmpeg")
    if program is None:
        return None, "ffmpeg, the program: not found; PyAV's loop is the only peer"
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout
    codec = re.search(r"libavcodec\s+(\d+\.\s*\d+\.\s*\d+)", said)
    return (
        program,
        f"{said.split(' Copyright')[0]}, libavcodec {codec[1].replace(' ', '') if codec else '?'}, its own x264",
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--encoder", help="auto, or the name of an encoder of hardware, to compare with software")
    parser.add_argument("--ffmpeg", help="the program; that on the PATH by default")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    videos = arguments.videos or [REAL / file for file in DEFAULT if (REAL / file).exists()]
    if not videos:
        parser.error("no videos, and no ../shared/data")
    strided = [make_profile("strided", stride=stride) for stride in (2, 4, 8)]
    profiles = [PROFILES["motion"], PROFILES["compat"], *strided]
    if arguments.encoder:
        try:
            choice = choose_encoder(arguments.encoder, PROFILES["motion"])
        except VideoError as error:
            parser.error(str(error))
        print_header(f"medians of {arguments.rounds} interleaved rounds [smallest, largest], one thread", SEED)
        print(f"encoder: {choice}")
        if choice.name == "software":
            parser.error("no encoder of hardware works here")
        with tempfile.TemporaryDirectory() as name:
            for path in videos:
                print_encoder(path, profiles, choice.name, Path(name), rounds=arguments.rounds)
        return
    program, line = program_of(arguments.ffmpeg)
    print_header(f"medians of {arguments.rounds} interleaved rounds [smallest, largest], one thread, cpu time", SEED)
    print(line)
    decord = load_peers()[1].get("decord")
    if decord is not None:
        print(f"decord, the peer of clips of every stride: {decord}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in videos:
            for profile in profiles:
                print_speed(path, profile, program, folder, rounds=arguments.rounds)
            print_profiles(path, profiles, folder)
            if decord is None:
                print_strides(path, strided, folder, rounds=7, clips=arguments.clips)


if __name__ == "__main__":
    main()
