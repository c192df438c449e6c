"""`mgm data`: its output and its exit status."""

from typer.testing import CliRunner

from mgm.commands.data import data


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write(path, *lines):
    path.write_text("\n".join(lines))
    return path


def run(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(data, [str(a) for a in arguments], catch_exceptions=False)


def test_show(tmp_path):
    touch(tmp_path, "hop/g01_a.mp4", "run/g02_b.mp4", "run/g03_c.mp4")
    train = write(tmp_path / "train.csv", "hop/g01_a.mp4 0", "run/g02_b.mp4 1")
    test = write(tmp_path / "test.csv", "run/g03_c.mp4 1")
    done = run("show", f"train={train},test={test}", "--strict")
    assert done.exit_code == 0
    for part in (
        "format   path-label: lines end in a space and one integer",
        "labels   numbers at the end of the lines",
        f"root     {tmp_path}",
        "split    train.csv for training; test.csv for testing",
        "classes  2 (names of the folders, one for each number)",
        "tested   1 video by mgm evaluate and mgm probe",
        f"{tmp_path}/hop/g01_a.mp4  0 hop",
        "no file is missing, and no video is in both splits",
    ):
        assert part in done.output
    rows = [line.split() for line in done.output.splitlines()]
    assert ["train", "2", "2", "2", "2"] in rows
    assert ["run", "1", "1"] in rows


def test_show_says_what_can_be_judged(tmp_path):
    touch(tmp_path, "hop/a.mp4", "run/b.mp4", "sit/c.mp4")
    train = write(tmp_path / "train.csv", "hop/a.mp4 0", "run/b.mp4 1")
    test = write(tmp_path / "test.csv", "sit/c.mp4 2")
    assert "tested   nothing: no test videos" in run("show", train).output
    found = run("show", f"train={train},test={test}").output
    assert "tested   1 video by mgm evaluate, not by mgm probe: no class has both" in found


def test_strict_fails_where_something_is_missing_or_in_both_splits(tmp_path):
    touch(tmp_path, "hop/g01_a.mp4", "run/g02_b.mp4")
    train = write(tmp_path / "train.csv", "hop/g01_a.mp4 0", "run/g02_b.mp4 1", *(f"run/{i}.mp4 1" for i in range(5)))
    done = run("show", train)
    assert done.exit_code == 0
    assert "5 of 7" in done.output
    assert "run/0.mp4" in done.output
    assert "and 2 more: --all lists them" in done.output
    assert run("show", train, "--strict").exit_code == 1
    assert "and run/4.mp4" in run("show", train, "--all").output
    twice = write(tmp_path / "test.csv", "run/g02_b.mp4 1")
    write(train, "hop/g01_a.mp4 0", "run/g02_b.mp4 1")
    done = run("show", f"train={train},test={twice}", "--strict")
    assert done.exit_code == 1
    assert f"1 videos are in both splits, such as {tmp_path}/run/g02_b.mp4" in done.output
    assert "1 source videos (from the g<number> in the names) have clips in both splits, such as g02" in done.output


def test_strict_fails_where_a_file_has_two_labels(tmp_path):
    touch(tmp_path, "hop/a.mp4", "run/b.mp4")
    path = write(tmp_path / "train.csv", "hop/a.mp4 0", "run/b.mp4 1", "hop/a.mp4 1")
    assert run("show", path).exit_code == 0
    done = run("show", path, "--strict")
    assert done.exit_code == 1
    assert f"1 file is listed with more than one label, such as {tmp_path}/hop/a.mp4 as 0 and 1" in done.output


def test_many_classes_are_shortened(tmp_path):
    names = [f"class{i:02d}/{j}.mp4" for i in range(30) for j in range(30 - i)]
    touch(tmp_path, *names)
    path = write(tmp_path / "train.txt", *(f"{name} {int(name[5:7])}" for name in names))
    short, whole = run("show", path).output, run("show", path, "--all").output
    assert "... 18 more (--all)" in short
    assert "class15" not in short
    assert "class15" in whole


def test_formats_are_listed():
    done = run("formats")
    for name in ("path-label", "kinetics", "templates", "class-split", "manifest"):
        assert name in done.output
    assert "abseiling,0347ZoDXyP0,95,105,train" in done.output
