"""A simulated GPU: tensors of the CPU whose device is "cuda", and a record of operations that would wait for the device.

The numbers are real, so that masks on the CPU can be counted and losses compared. torch's FakeTensorMode supports neither,
ignores copies, and has no backward pass on "cuda" without a GPU. Kernels, their precision and their speed are not
simulated, and autocast is the CPU's.
"""

from __future__ import annotations

import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import mgm

_PACKAGE = Path(mgm.__file__).parent
GPU = torch.device("cuda", 0)
MIXED = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
DEPENDS_ON_VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
PICKS = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}
GROUPING = "_group_tensors_by_device_and_dtype"
FROM_LISTS = {torch.tensor, torch.as_tensor, Tensor.new_tensor}


class StandIn:
    """Context in which "cuda" is a device.

    `device="cuda"`, `.to("cuda")` and the like mark the storage of a tensor, `.device` reads the mark, and results
    of marked tensors are marked. Operations between devices raise, as on a GPU.

    Attributes:
        waits: one line for each time that the CPU would have waited for the GPU, with the operation and its caller: reads of
            values or of element counts that the GPU computes (torch tags such operations); copies to the CPU; copies to the
            GPU from memory that is not page-locked.
    """

    def __init__(self) -> None:
        self.waits: list[str] = []
        self._marked: dict[int, Any] = {}  # keeps storages alive, so that no address is reused
        self._pinned: dict[int, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> StandIn:
        self._stack.enter_context(mock.patch("torch.Generator", _Generator))
        self._stack.enter_context(mock.patch.object(clip_grad, GROUPING, self._group))
        self._stack.enter_context(_Operations(self))
        self._stack.enter_context(_Functions(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def on_gpu(self, x: Tensor) -> bool:
        """Whether a tensor is marked."""
        return x.untyped_storage()._cdata in self._marked

    def mark(self, x: Tensor) -> Tensor:
        """The same tensor, on the GPU from now on, as are its views."""
        storage = x.untyped_storage()
        self._marked[storage._cdata] = storage
        return x

    def pin(self, x: Tensor) -> Tensor:
        """A copy in page-locked memory."""
        copy = x.clone()
        storage = copy.untyped_storage()
        self._pinned[storage._cdata] = storage
        return copy

    def move(self, x: Tensor, device: torch.device | None, dtype: torch.dtype | None, non_blocking: bool) -> Tensor:
        """`Tensor.to`."""
        before = self.on_gpu(x)
        after = before if device is None else device.type == "cuda"
        if before == after:
            return x.to(dtype=dtype)
        pinned = x.untyped_storage()._cdata in self._pinned
        if not (after and pinned and non_blocking):
            self.wait("copy to the GPU" if after else "copy to the CPU")
        with torch._C._DisableTorchDispatch():
            copy = x.to(dtype=dtype, copy=True)
        return self.mark(copy) if after else copy

    def _group(self, lists: list[list[Tensor]], with_indices: bool = False) -> dict[Any, Any]:
        """Written in C++, it would see the CPU."""
        groups = _group_tensors_by_device_and_dtype(lists, with_indices)
        there = self.on_gpu(lists[0][0])
        return {(GPU if there else device, dtype): group for (device, dtype), group in groups.items()}

    def wait(self, what: Any) -> None:
        """Note that the GPU is waited for, and where."""
        ours = [
            f"{Path(frame.filename).relative_to(_PACKAGE).as_posix()}:{frame.lineno}"
            for frame in traceback.extract_stack()
            if Path(frame.filename).is_relative_to(_PACKAGE)
        ]
        self.waits.append(f"{what} at {' > '.join(ours[-2:]) or 'the test'}")


class _Generator(torch.Generator):
    """One for any device."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        return super().__new__(cls, "cpu")


class _Functions(TorchFunctionMode):
    """Functions of tensors and of torch that Python calls."""

    def __init__(self, gpu: StandIn) -> None:
        self.gpu = gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        gpu, kwargs = self.gpu, dict(kwargs or {})
        special = SPECIAL.get(func)
        if special is not None:
            return special(gpu, func, *args, **kwargs)
        device = kwargs.get("device")
        on_gpu = device is not None and torch.device(device).type == "cuda"
        if on_gpu:
            kwargs["device"] = "cpu"
        if kwargs.get("pin_memory"):
            del kwargs["pin_memory"]
        found = func(*args, **kwargs)
        if on_gpu and isinstance(found, Tensor):
            if func in FROM_LISTS:
                gpu.wait(f"{func.__name__} copied to the GPU")
            gpu.mark(found)
        return found


def _to(gpu: StandIn, func: Any, x: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
    if args and isinstance(args[0], Tensor):
        device = GPU if gpu.on_gpu(args[0]) else torch.device("cpu")
        return gpu.move(x, device, args[0].dtype, kwargs.get("non_blocking", False))
    device, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
    return gpu.move(x, device, dtype, non_blocking)


def _read(gpu: StandIn, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    if gpu.on_gpu(x):
        gpu.wait(func.__name__)
    return func(x, *args, **kwargs)


def _numpy(gpu: StandIn, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    if gpu.on_gpu(x):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
    return func(x, *args, **kwargs)


def _new_tensor(gpu: StandIn, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    found = func(x, *args, **kwargs)
    if not gpu.on_gpu(x):
        return found
    gpu.wait("new_tensor copied to the GPU")
    return gpu.mark(found)


SPECIAL = {
    Tensor.device.__get__: lambda gpu, func, x: GPU if gpu.on_gpu(x) else func(x),
    Tensor.is_cuda.__get__: lambda gpu, func, x: gpu.on_gpu(x),
    Tensor.is_cpu.__get__: lambda gpu, func, x: not gpu.on_gpu(x),
    Tensor.pin_memory: lambda gpu, func, x: gpu.pin(x),
    Tensor.cpu: lambda gpu, func, x: gpu.move(x, torch.device("cpu"), None, False),
    Tensor.cuda: lambda gpu, func, x, *_, non_blocking=False: gpu.move(x, GPU, None, non_blocking),
    Tensor.to: _to,
    Tensor.tolist: _read,
    Tensor.__repr__: _read,
    Tensor.numpy: _numpy,
    Tensor.__array__: _numpy,
    Tensor.new_tensor: _new_tensor,
}


class _Operations(TorchDispatchMode):
    """Operations, forward and backward."""

    def __init__(self, gpu: StandIn) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            there = [x for x in tensors if self.gpu.on_gpu(x)]
            if not there:
                return func(*args, **kwargs)
            here = [x for x in tensors if not self.gpu.on_gpu(x)]
            self._check(func, args, here)
            found = func(*args, **kwargs)
            if func.overloadpacket is not torch.ops.aten.copy_:
                for x in tree_leaves(found):
                    if isinstance(x, Tensor):
                        self.gpu.mark(x)
            return found

    def _check(self, func: Any, args: Any, here: list[Tensor]) -> None:
        kind, name = func.overloadpacket, func.overloadpacket.__name__
        if kind is torch.ops.aten.copy_:
            if here:  # not reached by `Tensor.to`
                self.gpu.wait("copy_ between devices")
        elif kind in PICKS:
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self.gpu.wait(f"{name} by a mask")
            if any(not self.gpu.on_gpu(index) for index in indices):
                self.gpu.wait(f"{name} by indices on the CPU")
        # numbers of the CPU join in an operation on tensors, but no fused one
        elif any(x.ndim for x in here) or (here and "fused" in name):
            raise RuntimeError(f"{MIXED} ({func})")
        elif DEPENDS_ON_VALUES & set(func.tags):
            self.gpu.wait(name)
