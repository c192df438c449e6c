"""Room for the connections of a run of many processes among the files that a process may have open."""

from __future__ import annotations

from typing import Final

from mgm.errors import ConfigError

try:
    import resource
except ModuleNotFoundError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

_OTHERS, _FEWEST_OTHERS = 512, 64
"""Files that a process may have open besides: videos, pipes to reading processes, libraries; and those without which none runs."""
_CONNECTIONS: Final = 2
"""Groups in which gloo connects every process to every other: that of the steps on CPUs, and that of `Exchange`."""


def allow_connections(processes: int) -> None:
    """Raise this process's own limit of open files, often 1,024, as far as the system lets it, if so many processes need it.

    Raises:
        ConfigError: the system's limit is too low for one connection to each. gloo would report only that connecting failed.
    """
    if resource is None or processes == 1:
        return
    own, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = most == resource.RLIM_INFINITY
    if not unlimited and most < processes + _FEWEST_OTHERS:
        raise ConfigError(
            "limit of open files",
            f"{most} for a process that {processes} processes are connected to",
            f"at least {processes + _FEWEST_OTHERS}",
            "raise it for the job (ulimit -Hn; LimitNOFILE of its service), or use fewer processes",
            reason="unsupported",
        )
    wanted = _CONNECTIONS * processes + _OTHERS
    if own != resource.RLIM_INFINITY and own < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if unlimited else min(wanted, most), most))
