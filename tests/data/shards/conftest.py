"""A set in files, and the same set in shards."""

import shutil
from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.data.shards.write import pack_set
from mgm.video.motion.cache import build_sidecar


@pytest.fixture(scope="module")
def files(tiny_set, tmp_path_factory):
    """A set of class folders, one video with a motion sidecar, and a name with special characters."""
    root = tmp_path_factory.mktemp("files") / "a set"
    shutil.copytree(tiny_set, root)
    first = load_set(root).train[0].path
    odd = Path(first).with_name("odd name+1&2#3.x.mp4")
    Path(first).rename(odd)
    build_sidecar(odd)
    return load_set(root)


@pytest.fixture(scope="module")
def packed(files, tmp_path_factory):
    """(folder, report): shards of some videos each."""
    out = tmp_path_factory.mktemp("packed") / "shards"
    size = sum(Path(item.path).stat().st_size for item in files.items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mgm.data.shards.write.MEBI", max(size // 4, 1))  # the videos are far below a MiB
        return out, pack_set(files, out, shard_size=1)
