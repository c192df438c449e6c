"""Arrays and tensors from one process to another: through memory that both map, so that nothing is copied on arrival."""

from __future__ import annotations

import mmap
import os
import pickle
from io import BytesIO
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

SHARED = hasattr(os, "memfd_create")
"""Linux: memory without a name, which goes with the last process that maps it. It is not limited by the size of /dev/shm, which is
64 MB in a container of Docker's. Elsewhere the bytes go through the pipe."""

_ALIGNMENT = 64


class _Pickler(pickle.Pickler):
    """Takes tensors for the arrays that they are: those go out of the pickle, torch's own way would not."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return NotImplemented
        # Dense memory in whatever order of dimensions: video is kept channels last.
        strides = value.stride()
        order = sorted(range(value.ndim), key=lambda d: -strides[d])
        array = np.asarray(value.permute(order).numpy(), order="C")
        return _tensor, (array, tuple(order.index(d) for d in range(value.ndim)))


def _tensor(array: npt.NDArray[Any], order: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(array).permute(order)


def send(pipe: Connection, value: Any) -> None:
    """Send any value that can be pickled; its arrays and CPU tensors arrive as views of shared memory."""
    buffers: list[pickle.PickleBuffer] = []
    head = BytesIO()
    _Pickler(head, protocol=5, buffer_callback=buffers.append).dump(value)
    parts = [buffer.raw() for buffer in buffers]
    if not SHARED or not parts:
        pipe.send((head.getvalue(), [bytes(part) for part in parts], None))
        return
    ends = np.cumsum([-(-part.nbytes // _ALIGNMENT) * _ALIGNMENT for part in parts]).tolist()
    places = [(begin, part.nbytes) for begin, part in zip([0, *ends], parts, strict=False)]
    handle = os.memfd_create("mgm-batch")
    try:
        os.ftruncate(handle, max(ends[-1], 1))
        with mmap.mmap(handle, 0) as memory:
            for (begin, size), part in zip(places, parts, strict=True):
                memory[begin : begin + size] = part
        pipe.send((head.getvalue(), places, os.getpid()))
        # The kernel holds it from here on, whether or not this process lives until it is received.
        reduction.send_handle(pipe, handle, 0)
    finally:
        os.close(handle)


def receive(pipe: Connection) -> Any:
    """What `send` sent.

    Raises:
        EOFError, OSError: the other process died.
    """
    head, parts, sender = pipe.recv()
    if sender is None:
        # arrays must be writable, as those in shared memory are
        return pickle.loads(head, buffers=[bytearray(part) for part in parts])
    handle = reduction.recv_handle(pipe)
    try:
        memory = memoryview(mmap.mmap(handle, 0))  # unmapped when the last array that shows it is gone
    finally:
        os.close(handle)
    return pickle.loads(head, buffers=[memory[begin : begin + size] for begin, size in parts])
