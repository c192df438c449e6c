"""Arrays and tensors from one process to another through memory that both map: nothing is copied on arrival."""

from __future__ import annotations

import mmap
import os
import pickle
import sys
from io import BytesIO
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

SHARED = hasattr(os, "memfd_create")
"""Linux: memory without a name, which ends with the last process that maps it. It is not limited by the size of /dev/shm, which is
64 MB in a container of Docker's. Elsewhere the bytes travel through the pipe."""

_ALIGNMENT = 64


class _Pickler(pickle.Pickler):
    """Pickles tensors as arrays, whose bytes stay out of the pickle; torch's own way does not keep them out."""

    def reducer_override(self, value: Any) -> Any:
        torch = sys.modules.get("torch")  # without it there are no tensors
        if torch is None or not isinstance(value, torch.Tensor):
            return NotImplemented
        # Dense memory in any order of dimensions: video is kept channels last.
        strides = value.stride()
        order = sorted(range(value.ndim), key=lambda d: -strides[d])
        array = np.asarray(value.permute(order).numpy(), order="C")
        return _tensor, (array, tuple(order.index(d) for d in range(value.ndim)))


def _tensor(array: npt.NDArray[Any], order: tuple[int, ...]) -> Any:
    import torch

    return torch.from_numpy(array).permute(order)


def send_arrays(pipe: Connection, value: Any) -> None:
    """Send any value that can be pickled; its arrays and CPU tensors arrive as views of shared memory."""
    buffers: list[pickle.PickleBuffer] = []
    head = BytesIO()
    _Pickler(head, protocol=5, buffer_callback=buffers.append).dump(value)
    raw = [buffer.raw() for buffer in buffers]
    if not SHARED or not raw:
        pipe.send((head.getvalue(), [bytes(block) for block in raw], None))
        return
    ends = np.cumsum([-(-block.nbytes // _ALIGNMENT) * _ALIGNMENT for block in raw]).tolist()
    blocks = [(begin, block.nbytes) for begin, block in zip([0, *ends], raw, strict=False)]
    handle = os.memfd_create("mgm-batch")
    try:
        os.ftruncate(handle, max(ends[-1], 1))
        with mmap.mmap(handle, 0) as memory:
            for (begin, size), block in zip(blocks, raw, strict=True):
                memory[begin : begin + size] = block
        pipe.send((head.getvalue(), blocks, os.getpid()))
        # From here on the kernel holds the memory, even if this process ends before it is received.
        reduction.send_handle(pipe, handle, 0)
    finally:
        os.close(handle)


def receive_arrays(pipe: Connection) -> Any:
    """The value that `send_arrays` sent; arrays and tensors are writable.

    Raises:
        EOFError, OSError: the other process died.
    """
    head, blocks, sender = pipe.recv()
    if sender is None:
        # arrays must be writable, as those in shared memory are
        return pickle.loads(head, buffers=[bytearray(block) for block in blocks])
    handle = reduction.recv_handle(pipe)
    try:
        memory = memoryview(mmap.mmap(handle, 0))  # unmapped with the last array that views it
    finally:
        os.close(handle)
    return pickle.loads(head, buffers=[memory[begin : begin + size] for begin, size in blocks])
