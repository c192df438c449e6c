"""Pickles read as data: numbers, text, containers, NumPy arrays, and inert records in place of all other objects.

Written here because every unpickler of Python calls what a file names, and a list of permitted functions (pickle's `find_class`)
still calls those, on values of the file. This one parses with `pickletools`, which calls nothing, and has no way to call.
"""

from __future__ import annotations

import mmap
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mgm.errors import ModelError, in_words
from mgm.files.inert_values import DTYPE, GlobalName, InertObject, array_of, dtype_of, refused
from mgm.files.regular import open_regular

_HIGHEST_PROTOCOL: Final = 5
# The same functions under their names in Python 2 and 3, and in NumPy 1 and 2.
_RECONSTRUCT: Final = {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")}
_SCALAR: Final = {f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")}
_FROM_BUFFER: Final = {f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")}
_SETS: Final = {f"{module}.{name}" for module in ("__builtin__", "builtins") for name in ("set", "frozenset")}
_EMPTY_BYTES: Final = {"__builtin__.bytes", "builtins.bytes"}  # called without arguments: Python 3 in protocols below 3
_NEW_OBJECT: Final = {"copy_reg._reconstructor", "copyreg._reconstructor"}
_ORDERED, _ENCODE, _ARRAY = "collections.OrderedDict", "_codecs.encode", "numpy.ndarray"
_OBJECT: Final = {"__builtin__.object", "builtins.object"}
_KNOWN: Final = (
    _RECONSTRUCT
    | _SCALAR
    | _FROM_BUFFER
    | _SETS
    | _EMPTY_BYTES
    | _NEW_OBJECT
    | _OBJECT
    | {_ORDERED, _ENCODE, _ARRAY, DTYPE}
)
_PLAIN_KEYS: Final = (str, bytes, int, float, bool, type(None))


def read_inert_pickle(file: Path) -> Any:
    """The content of a file that is one pickle; texts of Python 2 are read as latin-1. See `parse_inert_pickle`.

    Raises:
        ModelError: as `parse_inert_pickle`, or the file cannot be opened.
    """
    try:
        with open_regular(file) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse_inert_pickle(data, file)
    except OSError as error:
        raise ModelError.cannot_read(file, error) from error
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(file, "found an empty file", "a pickle", "download it again", reason="empty") from error


def parse_inert_pickle(
    data: bytes | mmap.mmap,
    subject: object,
    *,
    records: Sequence[str] = (),
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The first object of a pickle, as data. A map in memory is left at the byte after it.

    The memory needed is at most a few times that of the data.

    Args:
        records: packages and classes, "dall_e" or "torch.nn.Linear", whose objects become a `InertObject`; those of others are
            refused.
        persistent: returns the object of a persistent id, which a file of several parts has; None: refused.

    Raises:
        ModelError: about `subject`: "unsupported" for an object of a class that is not allowed, "malformed" for a damaged file.
    """
    machine = _Machine(str(subject), tuple(records), persistent, budget=2 * len(data) + 4096)
    try:
        for operation, argument, _ in pickletools.genops(data):  # type: ignore[arg-type]  # a map is read as a file
            machine.run(operation.name, argument)
        return machine.result()
    except ModelError:
        raise
    except Exception as error:  # a damaged pickle fails in every way: struct.error, UnicodeDecodeError, IndexError, ...
        found = f"cannot be read as a pickle ({in_words(error, 120)})"
        raise ModelError(subject, found, advice="download it again", reason="malformed") from error


class _Machine:
    """The stack machine that a pickle is a program of; an operation that would call something makes a record instead.

    Args:
        budget: bytes of arrays and containers that may still be made from values that are in the file once and used again.
    """

    def __init__(
        self, subject: str, records: tuple[str, ...], persistent: Callable[[Any], Any] | None, *, budget: int
    ) -> None:
        self._subject, self._records, self._persistent, self._budget = subject, records, persistent, budget
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """The object, after the last operation."""
        return self._stack.pop()

    def run(self, name: str, argument: Any) -> None:
        """Carry out an operation of `pickletools.opcodes`."""
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self._stack.append(argument)
        elif name in _TUPLES:
            start = len(self._stack) - _TUPLES[name]
            if start < 0:
                raise IndexError("a tuple of more values than there are")
            self._stack[start:] = [tuple(self._stack[start:])]
        elif name in _GETS:
            self._stack.append(self._memo[argument])
        elif name in _PUTS:
            self._memo[argument] = self._stack[-1]
        elif name in _IGNORED:
            pass
        else:
            handler = getattr(self, f"_on_{name.lower()}", None)
            if handler is None:
                raise self._unsupported(f"the pickle operation {name}")
            handler(argument)

    def _unsupported(self, found: str) -> ModelError:
        return refused(self._subject, found)

    def _array(self, data: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
        self._spend(len(data))
        return array_of(data, dtype_of(dtype, self._subject), shape, order)

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise self._unsupported("values that are many times larger than the file")

    def _marked(self) -> list[Any]:
        """Remove and return the values above the last mark."""
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    # Stack and containers

    def _on_proto(self, version: int) -> None:
        if version > _HIGHEST_PROTOCOL:
            raise self._unsupported(f"version {version} of the pickle protocol")

    def _on_mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _on_pop(self, _: Any) -> None:
        # Removes the mark when nothing is above it.
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _on_pop_mark(self, _: Any) -> None:
        self._marked()

    def _on_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _on_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _on_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._marked()))

    def _on_list(self, _: Any) -> None:
        self._stack.append(self._marked())

    def _on_dict(self, _: Any) -> None:
        values = self._marked()
        self._stack.append({})
        self._set_items(values)

    def _on_frozenset(self, _: Any) -> None:
        self._stack.append(frozenset(self._keys(self._marked())))

    def _on_append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _on_appends(self, _: Any) -> None:
        self._extend(self._marked())

    def _on_setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def _on_setitems(self, _: Any) -> None:
        self._set_items(self._marked())

    def _on_additems(self, _: Any) -> None:
        members = self._keys(self._marked())
        target = self._stack[-1]
        if not isinstance(target, set):
            raise ValueError("found members of a set without the set")
        target.update(members)

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, InertObject):
            target.entries.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        else:
            raise ValueError("found items of a list without the list")

    def _set_items(self, values: list[Any]) -> None:
        keys, values = values[::2], values[1::2]
        target = self._stack[-1]
        if isinstance(target, InertObject):
            target.entries.extend(zip(keys, values, strict=True))
        elif isinstance(target, dict):
            target.update(zip(self._keys(keys), values, strict=True))
        else:
            raise ValueError("found items of a dictionary without the dictionary")

    def _keys(self, keys: list[Any]) -> list[Any]:
        # The hash of a tuple descends into it, as deep as the file says: plain values alone are keys.
        if not all(isinstance(key, _PLAIN_KEYS) for key in keys):
            raise self._unsupported("a key or a member of a set that is neither text nor a number")
        return keys

    # What would be a name, a call or a restored object

    def _on_global(self, name: str) -> None:
        self._push_name(*name.split(" ", 1))

    def _on_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._push_name(module, name)

    def _push_name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("found a name that is not text")
        full = f"{module}.{name}"
        if full not in _KNOWN and not any(full == one or full.startswith(f"{one}.") for one in self._records):
            raise self._unsupported(f"an object of {full[:200]}, which only code could read")
        self._stack.append(GlobalName(full))

    def _on_inst(self, name: str) -> None:
        arguments = self._marked()
        self._push_name(*name.split(" ", 1))
        self._make(self._stack.pop(), tuple(arguments))

    def _on_obj(self, _: Any) -> None:
        kind, *arguments = self._marked()
        self._make(kind, tuple(arguments))

    def _on_newobj(self, _: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        self._make(kind, arguments)

    def _on_newobj_ex(self, _: Any) -> None:
        named, arguments, kind = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._make(kind, (arguments, named) if named else arguments)

    def _on_reduce(self, _: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        self._make(kind, arguments)

    def _on_persid(self, identity: str) -> None:
        self._stack.append(identity)
        self._on_binpersid(None)

    def _on_binpersid(self, _: Any) -> None:
        if self._persistent is None:
            raise self._unsupported("a reference to another part of a file")
        self._stack.append(self._persistent(self._stack.pop()))

    def _make(self, kind: Any, arguments: Any) -> None:
        if not isinstance(kind, GlobalName) or not isinstance(arguments, tuple):
            raise self._unsupported("a call of something other than a function by its name")
        name = kind.name
        value: Any
        if name in _RECONSTRUCT:
            value = np.empty(0, np.uint8)  # `BUILD` fills this very object, which may be used elsewhere
        elif name in _FROM_BUFFER:
            data, dtype, shape, order = arguments
            value = self._array(data, dtype, shape, order)
        elif name in _SCALAR:
            dtype, data = arguments
            value = self._array(data, dtype, (), "C")[()]
        elif name == _ENCODE:
            text, codec = arguments
            if not isinstance(text, str) or not isinstance(codec, str) or codec not in ("latin1", "latin-1"):
                raise self._unsupported("text of a codec other than latin-1")
            self._spend(len(text))
            value = text.encode("latin-1")
        elif name in _SETS:
            (members,) = arguments or ([],)
            self._spend(64 * len(members))
            value = (set if name.endswith(".set") else frozenset)(self._keys(list(members)))
        elif name == _ORDERED:
            (pairs,) = arguments or ([],)
            self._spend(64 * len(pairs))
            value = OrderedDict((self._keys([key])[0], item) for key, item in pairs)
        elif name in _EMPTY_BYTES and not arguments:
            value = b""
        elif name in _NEW_OBJECT and isinstance(arguments[0], GlobalName):
            value = InertObject(arguments[0].name, arguments[2:])
        else:
            value = InertObject(name, arguments)
        self._stack.append(value)

    def _on_build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, InertObject):
            target.state = state
        elif isinstance(target, np.ndarray) and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, is_fortran, data = state
            array = self._array(data, dtype, shape, "F" if is_fortran else "C")
            state = (1, array.shape, array.dtype, bool(is_fortran), array.tobytes("A"))
            target.__setstate__(state)  # type: ignore[arg-type]  # NumPy's stub wants a bool of its own
        elif isinstance(target, OrderedDict) and isinstance(state, dict):
            pass  # attributes of a state dict, such as torch's _metadata
        else:
            raise self._unsupported(f"a state for {type(target).__name__}")


_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_LITERALS: Final = frozenset(
    ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
     "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
     "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
)  # fmt: skip
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_GETS: Final = frozenset(("GET", "BINGET", "LONG_BINGET"))
_PUTS: Final = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_IGNORED: Final = frozenset(("STOP", "FRAME"))
