"""The names that systems and programs leave in folders beside a user's own files."""

_LEFT_BY_SYSTEMS = frozenset(
    [
        "__macosx",  # macOS, in archives
        "icon\r",
        "network trash folder",
        "temporary items",
        "$recycle.bin",  # Windows
        "recycler",
        "system volume information",
        "desktop.ini",
        "thumbs.db",
        "ehthumbs.db",
        "lost+found",  # Linux
        "@eadir",  # network storage
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "__pycache__",
    ]
)


def is_system_name(name: str) -> bool:
    """Whether a system or a program made a file or folder, by its name: hidden ones (`._x.mp4`, `.git`), `__MACOSX` and others.

    `mgm` does not read such files and folders unless the user gives their path.
    """
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS
