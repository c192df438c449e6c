"""Sets are divided into train and test."""

from mgm.data.annotations import load_set
from tests.data.annotations.files import file_names, touch, write


def test_a_list_without_a_split_holds_out_as_its_folder_does(tmp_path):
    names = [f"{c}/{c}{i}.mp4" for c in ("hop", "run") for i in range(40)]
    touch(tmp_path / "videos", *names)
    write(tmp_path / "all.txt", *(f"videos/{name} {int(name[0] == 'r')}" for name in names))
    folder, listed = load_set(tmp_path / "videos"), load_set(tmp_path / "all.txt")
    for side in ("train", "test"):
        assert set(getattr(listed, side)) == set(getattr(folder, side))
    assert listed.classes == folder.classes
    assert listed.split_rule == folder.split_rule


def held_out(found):
    """File name -> whether it is held out."""
    return dict.fromkeys(file_names(found.train), False) | dict.fromkeys(file_names(found.test), True)


def test_a_quarter_is_held_out_independently_of_other_files(tmp_path):
    files = [f"{name}/{name} {i}.mp4" for name in ("hop", "run") for i in range(200)]
    whole = held_out(load_set(touch(tmp_path / "whole", *files)))
    part = held_out(load_set(touch(tmp_path / "part", *files[::7], "run/g01_c01.mp4")))
    assert len(whole) == 400
    assert 0.18 < sum(whole.values()) / len(whole) < 0.32
    assert all(whole[name] is side for name, side in part.items() if name in whole)


def test_the_choice_never_changes(tmp_path):
    """Of any release: results on held-out videos stay comparable, and none of them moves to training."""
    files = [f"{name}/{name}{number}.mp4" for name in ("hop", "run") for number in range(16)]
    held = held_out(load_set(touch(tmp_path, *files)))
    assert sorted(name for name, side in held.items() if side) == [
        "hop13.mp4",
        "hop2.mp4",
        "run1.mp4",
        "run13.mp4",
        "run6.mp4",
        "run8.mp4",
    ]


def test_clips_of_one_source_stay_together(tmp_path):
    files = [f"{c}/{n}" for c in "ab" for g in range(40) for n in (f"g{g:03d}_fi{c}.mp4", f"v_X_g{g:03d}_c02{c}.mp4")]
    # a name without a source number does not affect the others
    found = load_set(touch(tmp_path, *files, "a/plain.mp4"))
    held = {name: side for name, side in held_out(found).items() if name != "plain.mp4"}
    groups = {}
    for name, side in held.items():
        groups.setdefault(name[name.index("g0") + 1 :][:3], set()).add(side)
    assert len(groups) == 40
    assert all(len(side) == 1 for side in groups.values())
    assert {True, False} == set(held.values())
    assert "source videos" in found.split_rule


def test_every_class_keeps_a_source_to_train_on(tmp_path):
    """Two sources whose checksums would both be held out, and classes of one video."""
    many = load_set(touch(tmp_path / "many", *(f"{c}/g{number:03d}_.mp4" for c in "ab" for number in range(40))))
    both = file_names(many.test)[:2]
    clips = [f"{c}/{g.removesuffix('.mp4')}{number}.mp4" for c in "ab" for g in both for number in range(3)]
    six = load_set(touch(tmp_path / "six", *clips))
    for side in (six.train, six.test):
        assert len({name[:5] for name in file_names(side)}) == 1
        assert {item.label for item in side} == {0, 1}
    files = [*(f"run/run{number}.mp4" for number in range(16)), *(f"only{number}/x.mp4" for number in range(16))]
    held = held_out(load_set(touch(tmp_path / "single", *files)))
    assert [name for name, side in held.items() if side] == ["run1.mp4", "run13.mp4", "run6.mp4", "run8.mp4"]


def test_a_small_set_holds_out_a_source_that_no_class_needs(tmp_path):
    for files, held in (
        (["a/1.mp4", "b/1.mp4"], 0),
        (["a/1.mp4", "a/2.mp4", "b/1.mp4"], 1),
        (["a/g01_.mp4", "a/g02_.mp4", "b/g01_.mp4", "b/g02_.mp4"], 2),
        (["a/g01_.mp4", "b/g02_.mp4"], 0),
    ):
        found = load_set(touch(tmp_path / str(len(list(tmp_path.iterdir()))), *files))
        assert len(found.test) == held
        assert {item.label for item in found.train} == set(range(len(found.classes)))
        assert ("none of the" in found.split_rule) == (held == 0)


def test_videos_without_a_label_are_not_held_out(tmp_path):
    """A Kinetics csv may leave labels out."""
    rows = [f"{('run', 'hop', '')[number % 3]},video{number:06d},0,10" for number in range(40)]
    touch(tmp_path, *(f"video{number:06d}_000000_000010.mp4" for number in range(40)))
    found = load_set(write(tmp_path / "list.csv", "label,youtube_id,time_start,time_end", *rows))
    assert found.test
    assert {item.label for item in found.test} == {0, 1}


def test_unused_splits_are_reported(tmp_path):
    touch(tmp_path, *(f"x/{i}.mp4" for i in range(4)))
    table = write(
        tmp_path / "set.csv",
        "path,label,split",
        "x/0.mp4,a,train",
        "x/1.mp4,b,train",
        "x/2.mp4,a,val",
        "x/3.mp4,b,test",
    )
    found = load_set(table)
    assert [i.path[-5:] for i in found.test] == ["3.mp4"]
    assert found.notes[0].startswith("1 videos of the val split are not used, 1 of test are for testing")
    other = load_set(f"data={table},test_split=val")
    assert [i.path[-5:] for i in other.test] == ["2.mp4"]


def test_a_folder_for_training_and_a_list_for_testing(tmp_path):
    """A folder holds nothing out if another place is for testing."""
    touch(tmp_path, *(f"v/{c}/{i}.mp4" for c in "ab" for i in range(20)), "w/a/x.mp4")
    test = write(tmp_path / "test.csv", "path,label", "w/a/x.mp4,a")
    for key in ("data", "train"):
        found = load_set(f"{key}={tmp_path}/v,test={test}")
        assert (len(found.train), len(found.test), found.classes) == (40, 1, ("a", "b"))
    assert len(load_set(f"train={tmp_path}/v").test) == 0 < len(load_set(tmp_path / "v").test)
