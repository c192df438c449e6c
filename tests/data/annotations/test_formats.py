"""Every format, from a sample written as its documentation says, and from the real file where there is one."""

import json
from pathlib import Path

import numpy as np
import pytest

from mgm.data.annotations import ANNOTATION_FORMATS, load_set, resolve_set
from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.formats import read_annotation
from mgm.errors import DataError
from mgm.video.scan.manifest import write_manifest
from mgm.video.scan.record import VideoRecord
from tests.data.annotations.files import pairs, shown, touch, write
from tests.errors import raises

SHARED = Path(__file__).parents[4] / "shared" / "data"
PATAN = SHARED / "annotations" / "patan"
FIGHTS = SHARED / "surv_fights"


def format_of(path):
    return read_annotation(AnnotationFile(path)).format


@pytest.mark.parametrize("separator", [" ", "\t", ","])
def test_path_label(tmp_path, separator):
    """VideoMAE, MAE-ST, SlowFast, V-JEPA, mmaction2 (space), TATS (tab), and a comma."""
    touch(tmp_path, "videos/run/a b.mp4", "videos/hop/c.mp4", "videos/run/d.mp4")
    lines = [f"videos/run/a b.mp4{separator}1", f"videos/hop/c.mp4{separator}0", f"videos/run/d.mp4{separator}1"]
    found = load_set(write(tmp_path / "train.csv", *lines))
    assert pairs(found, found.train) == [("a b.mp4", "run"), ("c.mp4", "hop"), ("d.mp4", "run")]
    assert found.classes == ("hop", "run")
    assert found.test == ()
    assert found.split_rule == "train.csv for training"


def test_quotes_of_csv_writers(tmp_path):
    touch(tmp_path, 'x/a, "b".mp4', "y/c.mp4")
    found = load_set(write(tmp_path / "train.csv", '"x/a, ""b"".mp4",0', "y/c.mp4,1"))
    assert [Path(i.path).name for i in found.train] == ['a, "b".mp4', "c.mp4"]


def test_a_list_without_a_split_holds_out_as_its_folder_does(tmp_path):
    names = [f"{c}/{c}{i}.mp4" for c in ("hop", "run") for i in range(40)]
    touch(tmp_path / "videos", *names)
    write(tmp_path / "all.txt", *(f"videos/{name} {int(name[0] == 'r')}" for name in names))
    folder, listed = load_set(tmp_path / "videos"), load_set(tmp_path / "all.txt")
    for side in ("train", "test"):
        assert set(getattr(listed, side)) == set(getattr(folder, side))
    assert listed.classes == folder.classes
    assert listed.split_rule == folder.split_rule


def test_path_start_total(tmp_path):
    """VideoMAE V2's pretraining list: a whole video, and a part of one."""
    touch(tmp_path, "a.mp4", "b c.mp4")
    path = write(tmp_path / "list.csv", "a.mp4 0 -1", "b c.mp4 30 64")
    found = load_set(path)
    assert format_of(path) == "path-start-total"
    assert shown(found, found.train) == [("a.mp4", None, 0, None), ("b c.mp4", None, 30, 94)]
    assert found.classes == ()


def test_path_total_label(tmp_path):
    """mmaction2's rawframes and VideoMAE V2's fine-tuning on frames: folders of pictures."""
    touch(tmp_path, *(f"run/x 1/img_{i:05d}.jpg" for i in range(3)), *(f"hop/y/img_{i:05d}.jpg" for i in range(5)))
    path = write(tmp_path / "train.txt", "run/x 1 3 0", "hop/y 5 1")
    found = load_set(path)
    assert format_of(path) == "path-total-label"
    assert shown(found, found.train) == [("x 1", "run", 0, 3), ("y", "hop", 0, 5)]


def test_index_label_path(tmp_path):
    """PATAN's tab triples; numbers in one list are named by the folders of the other."""
    touch(tmp_path / "ucf", "Diving/v_Diving_g01_c01.avi", "Fencing/v_Fencing_g02_c01.avi")
    touch(tmp_path / "hmdb", "dive/x y.avi")
    write(tmp_path / "ucf" / "train.txt", "0\t1\tDiving/v_Diving_g01_c01.avi", "1\t2\tFencing/v_Fencing_g02_c01.avi")
    write(tmp_path / "hmdb" / "test.txt", "0\t1\tdive/x y.avi")
    found = load_set(f"train={tmp_path}/ucf/train.txt,test={tmp_path}/hmdb/test.txt")
    assert found.classes == ("Diving", "Fencing")
    assert pairs(found, found.test) == [("x y.avi", "Diving")]


def test_something_something(tmp_path):
    """The json files of the data set, in a folder: names, training, validation, and a test side whose labels nobody has."""
    labels = {"Holding something": "0", "Moving something up": "1"}
    train = [
        {"id": "78687", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]},
        {"id": "42326", "label": "moving tea up", "template": "Moving [something] up", "placeholders": ["tea"]},
    ]
    validation = [{"id": "7", "label": "moving a up", "template": "Moving [something] up", "placeholders": ["a"]}]
    folder = tmp_path / "labels"
    for name, tree in (("labels", labels), ("train", train), ("validation", validation), ("test", [{"id": "9"}])):
        write(folder / f"something-something-v2-{name}.json", json.dumps(tree))
    touch(tmp_path / "webm", "78687.webm", "42326.mp4", "7.webm", "9.webm")
    with raises(DataError, "not_found") as caught:
        load_set(folder / "something-something-v2-train.json")
    assert f"root={tmp_path}/webm" in caught.value.advice
    found = load_set({"data": folder, "root": tmp_path / "webm"})
    assert found.classes == ("Holding something", "Moving something up")
    assert pairs(found, found.train) == [("78687.webm", "Holding something"), ("42326.mp4", "Moving something up")]
    assert pairs(found, found.test) == [("7.webm", "Moving something up")]
    assert any("1 videos of the test split are not used" in note for note in found.notes)
    write(tmp_path / "answers.csv", "9;Holding something")
    found = load_set(
        {
            "train": folder / "something-something-v2-train.json",
            "test": folder / "something-something-v2-test.json",
            "labels": tmp_path / "answers.csv",
            "root": tmp_path,
        }
    )
    assert pairs(found, found.test) == [("9.webm", "Holding something")]


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
    assert found.classes == ()  # one class says nothing
    write(train, "0347ZoDXyP0", "-3B32lodo2M")
    touch(tmp_path / "v", "-3B32lodo2M_000059_000069.mp4")
    found = load_set(f"train={train},test={test},labels={path},root={tmp_path}/v")
    assert [label for _, label in pairs(found, found.train)] == ["air drumming", "tossing coin, twice"]
    assert pairs(found, found.test) == [("_y7BVrsZ1LE_000004_000014.mp4", "air drumming")]
    assert any("1 entries" in note and "notInTheCsv" in note for note in found.notes)
    bare = load_set(f"train={train},root={tmp_path}/v")  # without labels the ids find their files too
    assert {Path(i.path).name[:11] for i in bare.train} == {"0347ZoDXyP0", "-3B32lodo2M"}

    sigma = write(tmp_path / "sigma_train.txt", "0347ZoDXyP0_000095_000105 0", "-3B32lodo2M_000059_000069 1")
    names = write(tmp_path / "names.txt", "air drumming", "tossing coin")
    found = load_set(f"train={sigma},classes={names},root={tmp_path}/v")
    assert [label for _, label in pairs(found, found.train)] == ["air drumming", "tossing coin"]


def test_ucf101(tmp_path):
    """Lists that count from 1 with their names beside them; the test lists have no labels, their folders do."""
    touch(
        tmp_path / "ucf", "Archery/v_Archery_g08_c01.avi", "Biking/v_Biking_g08_c01.avi", "Biking/v_Biking_g01_c01.avi"
    )
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 Archery", "2 Biking")
    write(lists / "trainlist01.txt", "Archery/v_Archery_g08_c01.avi 1", "Biking/v_Biking_g08_c01.avi 2")
    write(lists / "testlist01.txt", "Biking/v_Biking_g01_c01.avi")
    write(lists / "trainlist02.txt", "Biking/v_Biking_g01_c01.avi 2")
    write(lists / "testlist02.txt", "Archery/v_Archery_g08_c01.avi", "Biking/v_Biking_g08_c01.avi")
    found = load_set(f"data={lists},root={tmp_path}/ucf")
    assert found.classes == ("Archery", "Biking")
    assert pairs(found, found.train) == [("v_Archery_g08_c01.avi", "Archery"), ("v_Biking_g08_c01.avi", "Biking")]
    assert pairs(found, found.test) == [("v_Biking_g01_c01.avi", "Biking")]
    other = load_set(f"data={lists},root={tmp_path}/ucf,split=2")
    assert (len(other.train), len(other.test)) == (1, 2)
    alone = load_set(f"train={lists}/trainlist01.txt,test={lists}/testlist01.txt,root={tmp_path}/ucf")
    assert (alone.classes, alone.train, alone.test) == (found.classes, found.train, found.test)
    with raises(DataError, "unknown_name", subject=lists, message="annotations-unknown-split"):
        load_set(f"data={lists},split=4")


def test_hmdb51(tmp_path):
    """A file per class and split: 1 is for training, 2 for testing, 0 for neither."""
    splits = tmp_path / "testTrainMulti_7030_splits"
    write(splits / "brush_hair_test_split1.txt", "April_09_brush_hair.avi 1 ", "atheism (1).avi 2 ", "x.avi 0 ")
    write(splits / "catch_test_split1.txt", "a.avi 2 ", "x.avi 1 ")
    write(splits / "catch_test_split2.txt", "a.avi 1 ", "x.avi 1 ")
    touch(tmp_path / "v", "brush_hair/April_09_brush_hair.avi", "brush_hair/atheism (1).avi", "brush_hair/x.avi")
    touch(tmp_path / "v", "catch/a.avi", "catch/x.avi")
    found = load_set(f"data={splits},root={tmp_path}/v")
    assert found.classes == ("brush_hair", "catch")
    assert pairs(found, found.train) == [("April_09_brush_hair.avi", "brush_hair"), ("x.avi", "catch")]
    assert pairs(found, found.test) == [("atheism (1).avi", "brush_hair"), ("a.avi", "catch")]
    assert found.notes == ("1 videos are in neither part of split 1",)


def test_diving48(tmp_path):
    """Parts of files, numbers as labels, and a vocabulary that names them."""
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
    """Broken files are left out and counted; folders named in the paths are classes, as in the folder itself."""
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


def test_arrays_of_text_and_pickles(tmp_path):
    """V-JEPA's .npy: text is read, objects are refused, since reading them can run code."""
    touch(tmp_path, "x/a.mp4", "y/b.mp4")
    np.save(tmp_path / "train.npy", np.array([["x/a.mp4", "0"], ["y/b.mp4", "1"]]))
    found = load_set(tmp_path / "train.npy")
    assert pairs(found, found.train) == [("a.mp4", "x"), ("b.mp4", "y")]
    np.save(tmp_path / "objects.npy", np.array([["x/a.mp4", 0], ["y/b.mp4", 1]], dtype=object), allow_pickle=True)
    with raises(DataError, "unsupported", subject=tmp_path / "objects.npy", message="annotations-array-of-objects"):
        load_set(tmp_path / "objects.npy")
    np.save(tmp_path / "numbers.npy", np.zeros(3))
    with raises(DataError, "invalid_type", message="annotations-array-of-numbers"):
        load_set(tmp_path / "numbers.npy")


def test_a_list_without_labels(tmp_path):
    touch(tmp_path, "a b.mp4", "c.webm")
    found = load_set(write(tmp_path / "list.txt", "a b.mp4", "c.webm"))
    assert (len(found.train), found.test, found.classes) == (2, (), ())


def test_dummy_labels_are_none(tmp_path):
    """Pretraining lists carry 0 or -1 for everything."""
    touch(tmp_path, "a.mp4", "b.mp4")
    for label in ("0", "-1"):
        found = load_set(write(tmp_path / "list.txt", f"a.mp4 {label}", f"b.mp4 {label}"))
        assert (len(found.train), found.test, found.classes) == (2, (), ())


def test_every_format_has_an_example_that_it_matches():
    """The example in the catalog is of its own format; those of JSON and tables are parts of a file."""
    for found in ANNOTATION_FORMATS:
        if found.name in ("kinetics", "templates", "table", "manifest", "class-split"):
            continue
        content = AnnotationFile.__new__(AnnotationFile)
        content.path, content.kind, content.tree = Path("list.txt"), "text", None
        content.lines = [(1, found.example.replace("<tab>", "\t"))]
        assert [other.name for other in ANNOTATION_FORMATS if other.matches(content)] == [found.name]


real = pytest.mark.skipif(not PATAN.is_dir(), reason="the real annotations are not beside the checkout")


@pytest.mark.real
@real
def test_the_real_lists_of_patan():
    """The counts that its repository states: UCF14 1324 / 530, HMDB7 490 / 210."""
    found = resolve_set(f"train={PATAN}/ucf101_train_uh.txt,test={PATAN}/hmdb51_test_uh.txt").listed
    assert (len(found.train), len(found.test)) == (1324, 210)
    assert found.classes[:2] == ("RockClimbingIndoor", "Diving")
    assert len(found.classes) == 14
    assert {i.label for i in found.test} == set(range(7))
    back = resolve_set(f"train={PATAN}/hmdb51_train_hu.txt,test={PATAN}/ucf101_test_hu.txt").listed
    assert (len(back.train), len(back.test), len(back.classes)) == (980, 266, 14)
    with raises(DataError, "conflict", subject=PATAN):
        resolve_set(PATAN)


@pytest.mark.real
@real
@pytest.mark.parametrize("train", ["splits/split_group01_train.txt", "splits"])
def test_the_real_splits_of_surveillance_fights(train):
    """229 / 71 clips, no source video on both sides; names start two folders above the list."""
    spec = (
        f"{FIGHTS}/{train}"
        if train == "splits"
        else f"train={FIGHTS}/{train},test={FIGHTS}/splits/split_group01_test.txt"
    )
    found = load_set(spec)
    assert (len(found.train), len(found.test)) == (229, 71)
    assert found.classes == ("fight", "noFight")
    assert all(Path(i.path).parent.name == found.classes[i.label] and Path(i.path).is_file() for i in found.items)
    assert found.notes == ()
