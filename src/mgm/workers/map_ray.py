"""As `map_files`, on a cluster of Ray: one task per file on any machine of the cluster, results gathered in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mgm.errors import FileError, VideoError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def map_over_ray(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    *,
    processes: int,
    on_death: Callable[[ItemT, VideoError], ResultT],
) -> Iterator[tuple[ItemT, ResultT]]:
    """Yield (item, function(item)) of every item as it is done, in no particular order.

    Tasks run in folders of their own: paths in the items must be absolute, and the same on all machines.

    Args:
        function: of a module of the package, which all machines have; an exception that it raises is a failed task.
        processes: on this machine, unless RAY_ADDRESS names a cluster, whose processors are used then.
        on_death: makes the result of an item whose task failed twice (reason "crashed").

    Raises:
        FileError: the package ray is missing.
    """
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise FileError.missing_package("--ray", "ray", extra="ray") from error
    started = not ray.is_initialized()
    if started:
        local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": processes, "include_dashboard": False}
        ray.init(log_to_driver=False, **local)
    task = ray.remote(num_cpus=1, max_retries=1)(function)
    left = iter(items)
    running: dict[Any, ItemT] = {}
    try:
        while True:
            # Enough tasks to keep a growing cluster busy, and few enough that a million videos do not fill its queue.
            room = 2 * int(ray.cluster_resources().get("CPU", 1)) - len(running)
            for _, item in zip(range(room), left, strict=False):
                running[task.remote(item)] = item
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            item = running.pop(done[0])
            try:
                result = ray.get(done[0])
            except ray.exceptions.RayError as error:
                found = f"its task of Ray failed ({type(error).__name__})"
                advice = "remove it from the set and report it"
                result = on_death(item, VideoError("", found, advice=advice, reason="crashed"))
            yield item, result
    finally:
        if started:
            ray.shutdown()
