"""Table formats: Kinetics, Diving48, tables with named columns, and manifests."""

import json
from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.table_formats import read_kinetics
from mgm.errors import DataError
from mgm.video.scan.manifest import write_manifest
from mgm.video.scan.record import VideoRecord
from tests.data.annotations.files import pairs, shown, touch, write
from tests.errors import raises

KINETICS = (
    "label,youtube_id,time_start,time_end,split,is_cc",
    "air drumming,0347ZoDXyP0,95,105,train,0",
    '"tossing coin, twice",-3B32lodo2M,59,69,train,0',
    "air drumming,_y7BVrsZ1LE,4,14,validate,1",
)


def test_kinetics(tmp_path):
    touch(tmp_path / "k", "train/air_drumming/0347ZoDXyP0_000095_000105.mp4", "train/x/-3B32lodo2M_000059_000069.mkv")
    touch(tmp_path / "k", "val/air_drumming/_y7BVrsZ1LE_000004_000014.mp4")
    path = write(tmp_path / "k400.csv", *KINETICS)
    found = load_set(f"data={path},root={tmp_path}/k")
    assert found.classes == ("air drumming", "tossing coin, twice")
    assert pairs(found, found.train) == [
        ("0347ZoDXyP0_000095_000105.mp4", "air drumming"),
        ("-3B32lodo2M_000059_000069.mkv", "tossing coin, twice"),
    ]
    assert pairs(found, found.test) == [("_y7BVrsZ1LE_000004_000014.mp4", "air drumming")]


def test_mini_kinetics(tmp_path):
    """Ids joined on the Kinetics csv, and SIGMA's `id_start_end label`."""
    path = write(tmp_path / "k400.csv", *KINETICS)
    touch(tmp_path / "v", "0347ZoDXyP0_000095_000105.mp4", "_y7BVrsZ1LE_000004_000014.mp4")
    train = write(tmp_path / "train_ytid_list.txt", "0347ZoDXyP0")
    test = write(tmp_path / "val_ytid_list.txt", "_y7BVrsZ1LE", "notInTheCsv")
    found = load_set(f"train={train},test={test},labels={path},root={tmp_path}/v")
    assert found.classes == ()  # one class only
    write(train, "0347ZoDXyP0", "-3B32lodo2M")
    touch(tmp_path / "v", "-3B32lodo2M_000059_000069.mp4")
    found = load_set(f"train={train},test={test},labels={path},root={tmp_path}/v")
    assert [label for _, label in pairs(found, found.train)] == ["air drumming", "tossing coin, twice"]
    assert pairs(found, found.test) == [("_y7BVrsZ1LE_000004_000014.mp4", "air drumming")]
    assert any("1 entries" in note and "notInTheCsv" in note for note in found.notes)
    bare = load_set(f"train={train},root={tmp_path}/v")  # ids are located without labels too
    assert {Path(i.path).name[:11] for i in bare.train} == {"0347ZoDXyP0", "-3B32lodo2M"}

    sigma = write(tmp_path / "sigma_train.txt", "0347ZoDXyP0_000095_000105 0", "-3B32lodo2M_000059_000069 1")
    names = write(tmp_path / "names.txt", "air drumming", "tossing coin")
    found = load_set(f"train={sigma},classes={names},root={tmp_path}/v")
    assert [label for _, label in pairs(found, found.train)] == ["air drumming", "tossing coin"]


def test_diving48(tmp_path):
    """Parts of files, numbers as labels, and a vocabulary of class names."""
    rows = [
        {"vid_name": "_8Vy3dlHg2w_00000", "label": 1, "start_frame": 0, "end_frame": 141},
        {"vid_name": "_8Vy3dlHg2w_00001", "label": 0, "start_frame": 12, "end_frame": 89},
    ]
    train = write(tmp_path / "Diving48_V2_train.json", json.dumps(rows))
    test = write(tmp_path / "Diving48_V2_test.json", json.dumps(rows[:1]))
    vocabulary = [["Back", "15som", "05Twis", "FREE"], ["Back", "15som", "15Twis", "FREE"]]
    names = write(tmp_path / "Diving48_vocab.json", json.dumps(vocabulary))
    touch(tmp_path / "rgb", "_8Vy3dlHg2w_00000.mp4", "_8Vy3dlHg2w_00001.mp4")
    found = load_set(f"train={train},test={test},classes={names},root={tmp_path}/rgb")
    assert found.classes == ("Back 15som 05Twis FREE", "Back 15som 15Twis FREE")
    assert shown(found, found.train) == [
        ("_8Vy3dlHg2w_00000.mp4", "Back 15som 15Twis FREE", 0, 141),
        ("_8Vy3dlHg2w_00001.mp4", "Back 15som 05Twis FREE", 12, 89),
    ]
    numbered = load_set({"train": train, "test": test, "root": tmp_path / "rgb"})
    assert numbered.classes == ("0", "1")


def test_tables_of_your_own(tmp_path):
    touch(tmp_path, "x/a.mp4", "x/b.mp4", "x/c.mp4")
    table = write(
        tmp_path / "set.csv", "video,label,split", "x/a.mp4,hop,train", "x/b.mp4,run,train", "x/c.mp4,hop,test"
    )
    found = load_set(table)
    assert pairs(found, found.train) == [("a.mp4", "hop"), ("b.mp4", "run")]
    assert pairs(found, found.test) == [("c.mp4", "hop")]
    lines = write(tmp_path / "train.jsonl", '{"path": "x/a.mp4", "label": 3}', '{"path": "x/b.mp4", "label": 4}')
    assert [i.label for i in load_set(lines).train] == [3, 4]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_manifest_of_scan(tmp_path, suffix):
    """Broken files are left out and counted; folders in the paths are classes, as in the folder itself."""
    touch(tmp_path / "v", "hop/a.mp4", "run/b.mp4", "run/broken.mp4", "hop/empty.mp4")
    records = [
        VideoRecord(path=f"{tmp_path}/v/hop/a.mp4", bytes=1, status="ok"),
        VideoRecord(path=f"{tmp_path}/v/hop/empty.mp4", bytes=0, status="empty"),
        VideoRecord(path=f"{tmp_path}/v/run/b.mp4", bytes=1, status="no_vectors"),
        VideoRecord(path=f"{tmp_path}/v/run/broken.mp4", bytes=1, status="damaged"),
    ]
    write_manifest(tmp_path / f"manifest{suffix}", records)
    found = load_set(tmp_path / f"manifest{suffix}")
    assert sorted(pairs(found, found.items)) == [("a.mp4", "hop"), ("b.mp4", "run")]
    (note,) = found.notes
    assert note.endswith("2 broken files were left out (1 damaged, 1 empty)")


GOOD = '{"youtube_id": "a", "time_start": 1, "time_end": 11, "label": "x"}'


def test_one_record_is_enough(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(GOOD)
    assert [entry.name for entry in read_kinetics(AnnotationFile(path)).entries] == ["a_000001_000011"]


@pytest.mark.parametrize(
    "wrong", ['"time_start": 1', '"time_start": null, "time_end": 2', '"time_start": Infinity, "time_end": 2']
)
def test_a_record_without_its_times_is_an_error(tmp_path, wrong):
    path = tmp_path / "set.jsonl"
    path.write_text(f'{GOOD}\n{{"youtube_id": "b", {wrong}}}\n')
    with raises(DataError, "malformed", subject=path):
        read_kinetics(AnnotationFile(path))
