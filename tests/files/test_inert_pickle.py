"""Pickles read as data: everything plain arrives, and nothing in a hostile file is run or allocated."""

import collections
import datetime
import functools
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mgm.errors import ModelError
from mgm.files.inert_pickle import GlobalName, InertObject, parse_inert_pickle, read_inert_pickle
from tests.errors import raises

PROTOCOLS = range(6)


def plain():
    return {
        "text": ["a", "Ünïcödé", ""],
        "numbers": (0, -1, 255, 65536, 2**40, -(2**80), 1.5, float("inf"), True, None),
        "nested": {"set": {1, 2}, "frozen": frozenset("ab"), 3: {(): ()}.get(()), "bytes": b"\x00\xff"},
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_what_is_plain(protocol):
    assert parse_inert_pickle(pickle.dumps(plain(), protocol), "f") == plain()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5, dtype=">i2"),
        np.array([True, False]),
        np.array(3.5, dtype=np.float16),
        np.zeros((0, 4), np.complex64),
        np.arange(12, dtype=np.uint8)[::3],
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_reads_arrays(protocol, array):
    found = parse_inert_pickle(pickle.dumps({"once": array, "again": array}, protocol), "f")
    assert found["once"].shape == array.shape
    assert np.array_equal(found["once"], array)
    assert found["once"].dtype == array.dtype.newbyteorder("=")
    assert found["again"] is found["once"]


def test_reads_scalars_and_ordered_dicts():
    content = collections.OrderedDict(lr=np.float32(0.1), steps=np.int64(7))
    found = parse_inert_pickle(pickle.dumps(content, 2), "f")
    assert found == content
    assert list(found) == ["lr", "steps"]


def test_reads_an_array_of_python_2():
    """As Caffe2 wrote them: raw bytes as a str, under NumPy 1's names."""
    raw = np.arange(3, dtype="<f4").tobytes()
    data = b"\x80\x02}U\x05blobs}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    data += (
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    data += b"\x89U" + bytes([len(raw)]) + raw + b"tbss."
    assert pickle.loads(data, encoding="latin1")["blobs"]["w"].tolist() == [0, 1, 2]
    assert parse_inert_pickle(data, "f")["blobs"]["w"].tolist() == [0, 1, 2]


class Module:
    """A class of a program that is not here."""

    def __init__(self):
        self.weight = np.ones(2, np.float32)
        self.child = None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_foreign_objects_become_records(protocol):
    parent = Module()
    parent.child = Module()
    data = pickle.dumps([parent, functools.partial(divmod, 7)], protocol)
    allowed = (Module.__module__, "functools.partial", "builtins.divmod", "__builtin__.divmod")
    if protocol < 2:
        allowed += ("copy_reg._reconstructor",)
    module, partial = parse_inert_pickle(data, "f", records=allowed)
    assert isinstance(module, InertObject)
    assert module.kind == f"{Module.__module__}.Module"
    assert module.state["child"].state["weight"].tolist() == [1, 1]
    assert partial.arguments[0] in (GlobalName("builtins.divmod"), GlobalName("__builtin__.divmod"))


def test_a_class_of_its_own_keeps_its_items():
    class_names = ("tests.files.test_inert_pickle",)
    listed, mapped = parse_inert_pickle(pickle.dumps([Listed("ab"), Mapped(a=1)]), "f", records=class_names)
    assert listed.entries == ["a", "b"]
    assert mapped.entries == [("a", 1)]


class Listed(list):
    pass


class Mapped(dict):
    pass


class Calls:
    """An object whose pickle calls a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def trap(tmp_path):
    """A file that any code of a pickle would make."""
    target = tmp_path / "ran"
    yield target
    assert not target.exists(), "a pickle ran code"


def hostile(trap: Path) -> dict[str, bytes]:
    """Pickles that run code when Python reads them."""
    command, path = f"touch {trap}", str(trap).encode()
    memo = b"\x80\x02cposix\nsystem\nq\x000h\x00X" + struct.pack("<I", len(command)) + command.encode() + b"\x85R."
    return {
        "system": pickle.dumps(Calls(os.system, command)),
        "eval": pickle.dumps(Calls(eval, f"open({str(trap)!r}, 'w')")),
        "open": pickle.dumps(Calls(open, str(trap), "w")),
        "subprocess": pickle.dumps(Calls(subprocess.check_call, ["touch", str(trap)])),
        "getattr": pickle.dumps(Calls(getattr, trap, "touch")),
        "nested": pickle.dumps({"blobs": [{"w": (1, Calls(os.system, command))}]}),
        "inst": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'" + command.encode() + b"'\no.",
        "through the memo": memo,
        "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c"
        + bytes([len(command)])
        + command.encode()
        + b"\x85R.",
        "state": b"\x80\x02cbuiltins\nopen\n(X" + struct.pack("<I", len(path)) + path + b"X\x01\x00\x00\x00wtR}b.",
        "in an array": pickle.dumps(np.array([Calls(os.system, command)], dtype=object)),
        "numpy's loader": pickle.dumps(Calls(np.load, str(trap))),
        "extension": b"\x80\x02\x82\x01)R.",
    }


@pytest.mark.parametrize("name", hostile(Path("x")))
def test_refuses_what_would_run(trap, name):
    with raises(ModelError, "unsupported", subject="weights.pkl") as caught:
        parse_inert_pickle(hostile(trap)[name], "weights.pkl")
    assert "runs no code" in caught.value.advice


@pytest.mark.parametrize("name", ["system", "inst", "obj", "through the memo", "stack global"])
def test_an_allowed_function_is_not_called_either(trap, name):
    found = parse_inert_pickle(hostile(trap)[name], "f", records=("os", "posix"))
    assert isinstance(found, InertObject)
    assert found.arguments == (f"touch {trap}",)


def test_a_call_of_a_record_is_refused(trap):
    """Chains such as getattr(module, name)(argument)."""
    data = b"\x80\x02cbuiltins\ngetattr\ncos\nmodule\nX\x06\x00\x00\x00system\x86RX\x01\x00\x00\x00x\x85R."
    with raises(ModelError, "unsupported"):
        parse_inert_pickle(data, "f", records=("builtins.getattr", "os"))


def test_prefixes_end_at_a_dot():
    with raises(ModelError, "unsupported"):
        parse_inert_pickle(b"\x80\x02cposixpath\njoin\n.", "f", records=("posix",))


def array_pickle(*, shape=b"K\x01\x85", raw=b"\x00\x00\x00\x00", code=b"f4", builds=1) -> bytes:
    """A pickle of one array, with the given parts and filled so many times."""
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = (
        b"cnumpy\ndtype\nU"
        + bytes([len(code)])
        + code
        + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    state = b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tq\x07b"
    return head + state + b"h\x07b" * (builds - 1) + b"."


def large(numbers: int) -> dict[str, bytes]:
    """Small pickles that ask for much memory."""
    huge = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")  # a number
    listed = b"\x80\x02]q\x00(" + b"N" * numbers + b"e0"
    many_sets = listed + b"c__builtin__\nset\nq\x010" + b"h\x01h\x00\x85R" * numbers + b"."
    return {
        "shape": array_pickle(shape=huge + b"\x85"),
        "negative": array_pickle(shape=b"J\xff\xff\xff\xff\x85"),
        "shape of a number": array_pickle(shape=huge),
        "bytes of a number": b"\x80\x02cnumpy._core.numeric\n_frombuffer\n(" + huge + b"NNNtR.",
        "array again and again": array_pickle(raw=bytes(1000), shape=b"M\xfa\x00\x85", builds=numbers),
        "sets of one list": many_sets,
        "element": array_pickle(code=b"V99999999"),
        "length": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
        "text": b"\x80\x02X" + struct.pack("<I", (1 << 32) - 1) + b"x.",
        "memo": b"\x80\x02Nr" + struct.pack("<I", (1 << 32) - 1) + b"\x85R.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b".",
        "number": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"x.",
        "digits": b"I" + b"9" * 5000 + b"\n.",
    }


@pytest.mark.parametrize("name", large(10))
def test_memory_follows_the_size_of_the_file(name):
    data = large(5000)[name]
    tracemalloc.start()
    with pytest.raises(ModelError) as caught:
        parse_inert_pickle(data, "f")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason in ("malformed", "unsupported")
    assert peak < 40 * len(data) + 1_000_000


def test_deep_nesting_is_data():
    """No recursion here or when the value is freed; a deep key, whose hash would recurse, is refused."""
    depth = 200_000
    value = parse_inert_pickle(b"\x80\x02N" + b"\x85" * depth + b".", "f")
    assert isinstance(value, tuple)
    del value
    with raises(ModelError, "unsupported"):
        parse_inert_pickle(b"\x80\x02}N" + b"\x85" * depth + b"Ns.", "f")


def test_shared_values_are_not_copied():
    """2^200 paths lead to one value; nothing walks them, not even an error."""
    doubled = b"\x80\x02N" + b"2\x86" * 200
    assert isinstance(parse_inert_pickle(doubled + b".", "f"), tuple)
    with raises(ModelError, "malformed"):
        parse_inert_pickle(array_pickle(shape=doubled[2:]), "f")


def test_a_list_may_contain_itself():
    (found,) = parse_inert_pickle(b"\x80\x02]q\x00h\x00a.", "f")
    assert found[0] is found


@pytest.mark.parametrize("end", range(0, 200, 7))
def test_a_cut_file_is_malformed(end):
    data = pickle.dumps({"blobs": {"w": np.zeros(3, np.float32)}}, 2)
    with raises(ModelError, "malformed"):
        parse_inert_pickle(data[:end], "f")


def test_damage_never_raises_another_error():
    """Every byte changed in turn: either data, or a ModelError."""
    data = pickle.dumps({"blobs": {"w": np.zeros(2, np.float32), "lr": np.float32(1)}, "set": {1}}, 2)
    rng = np.random.default_rng(0)
    refused = 0
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] = rng.integers(256)
        try:
            parse_inert_pickle(bytes(damaged), "f")
        except ModelError:  # any other error fails
            refused += 1
    assert len(data) / 2 < refused < len(data)


def test_persistent_ids_are_the_callers():
    class Saver(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", value.nbytes) if isinstance(value, np.ndarray) else None

    stream = io.BytesIO()
    Saver(stream, 2).dump([np.zeros(3)])
    assert parse_inert_pickle(stream.getvalue(), "f", persistent=lambda identity: identity) == [("storage", 24)]
    with raises(ModelError, "unsupported"):
        parse_inert_pickle(stream.getvalue(), "f")


def test_reads_a_file(tmp_path):
    file = tmp_path / "weights.pkl"
    file.write_bytes(pickle.dumps({"blobs": {"w": np.arange(4)}}))
    assert read_inert_pickle(file)["blobs"]["w"].tolist() == [0, 1, 2, 3]
    file.write_bytes(b"")
    with raises(ModelError, "empty", subject=file):
        read_inert_pickle(file)
    with raises(ModelError, "not_found"):
        read_inert_pickle(tmp_path / "absent.pkl")
    os.mkfifo(tmp_path / "pipe.pkl")
    with raises(ModelError, "unreadable"):
        read_inert_pickle(tmp_path / "pipe.pkl")


def test_dates_are_not_plain():
    with raises(ModelError, "unsupported") as caught:
        parse_inert_pickle(pickle.dumps(datetime.date(2026, 1, 1)), "f")
    assert "datetime.date" in caught.value.found
