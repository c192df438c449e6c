"""The names that PySlowFast, pytorchvideo and Caffe2 give the weights of SlowFast."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from mgm.models.networks.weights import WeightsFormat

# A rule is the authors' name, whose groups are named, and ours. Numbers of stages begin at 1 (the stem) or 2 there, at 0 here.
_Rules = tuple[tuple[str, str], ...]

_PYSLOWFAST: Final[_Rules] = (
    (r"s1\.pathway(?P<path>\d)_stem\.(?P<part>conv|bn)\.(?P<value>.*)", "{path}_stem.{part}.{value}"),
    (r"s(?P<after>\d)_fuse\.(?P<part>conv_f2s|bn)\.(?P<value>.*)", "laterals.{after}.{part}.{value}"),
    (
        r"s(?P<stage>\d)\.pathway(?P<path>\d)_res(?P<block>\d+)\.(?P<conv>branch1|branch2\.[abc])(?P<part>(_bn)?)\.(?P<value>.*)",
        "{path}.{stage}.{block}.{conv}.{part}.{value}",
    ),
    (
        r"s4\.pathway0_nonlocal(?P<block>\d+)\.(?P<part>conv_theta|conv_phi|conv_g|conv_out|bn)\.(?P<value>.*)",
        "nonlocals.{block}.{part}.{value}",
    ),
    (r"head\.projection\.(?P<value>.*)", "head.{value}"),
)
_PYTORCHVIDEO: Final[_Rules] = (
    (r"blocks\.0\.multipathway_blocks\.(?P<path>\d)\.(?P<part>conv|norm)\.(?P<value>.*)", "{path}_stem.{part}.{value}"),
    (
        r"blocks\.(?P<stem>\d)\.multipathway_fusion\.(?P<part>conv_fast_to_slow|norm)\.(?P<value>.*)",
        "laterals.{stem}.{part}.{value}",
    ),
    (
        r"blocks\.(?P<after>\d)\.multipathway_blocks\.(?P<path>\d)\.res_blocks\.(?P<block>\d+)\.(?P<conv>branch1)_(?P<part>conv|norm)\."
        r"(?P<value>.*)",
        "{path}.{after}.{block}.{conv}.{part}.{value}",
    ),
    (
        r"blocks\.(?P<after>\d)\.multipathway_blocks\.(?P<path>\d)\.res_blocks\.(?P<block>\d+)\.branch2\.(?P<part>conv|norm)_(?P<conv>[abc])\."
        r"(?P<value>.*)",
        "{path}.{after}.{block}.{conv}.{part}.{value}",
    ),
    (r"blocks\.6\.proj\.(?P<value>.*)", "head.{value}"),
)
_CAFFE2: Final[_Rules] = (
    (r"(?P<path>(t_)?)conv1_(?P<value>w)", "{path}_stem.conv.{value}"),
    (r"(?P<path>(t_)?)res_conv1_bn_(?P<value>s|b|rm|riv)", "{path}_stem.norm.{value}"),
    (r"t_pool1_subsample(?P<part>(_bn)?)_(?P<value>w|s|b|rm|riv)", "laterals.0.{part}.{value}"),
    (
        r"t_res(?P<after>\d)_\d+_branch2c_bn_subsample(?P<part>(_bn)?)_(?P<value>w|s|b|rm|riv)",
        "laterals.{after}.{part}.{value}",
    ),
    (
        r"(?P<path>(t_)?)res(?P<stage>\d)_(?P<block>\d+)_(?P<conv>branch1|branch2[abc])(?P<part>(_bn)?)_(?P<value>w|s|b|rm|riv)",
        "{path}.{stage}.{block}.{conv}.{part}.{value}",
    ),
    (
        r"nonlocal_conv4_(?P<block>\d+)_(?P<part>theta|phi|g|out|bn)_(?P<value>w|s|b|rm|riv)",
        "nonlocals.{block}.{part}.{value}",
    ),
    (r"pred_(?P<value>w|b)", "head.{value}"),
)
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "path": {"0": "slow", "1": "fast", "": "slow", "t_": "fast"},
    "part": {"": "conv", "_bn": "norm", "bn": "norm", "conv_f2s": "conv", "conv_fast_to_slow": "conv"}
    | {f"conv_{one}": one for one in ("theta", "phi", "g", "out")},
    "conv": {"branch1": "shortcut"} | {f"branch2{dot}{one}": one for dot in ("", ".") for one in "abc"},
    "value": {"w": "weight", "s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"},
    "stage": {str(number): str(number - 2) for number in range(2, 6)},
    "after": {str(number): str(number - 1) for number in range(1, 5)},
}


def _rename(rules: _Rules, *, ignored: str | None = None) -> Callable[[str], str | None]:
    """The function from the authors' names to those of `SlowFast`. ignored: a pattern of names that are not weights."""
    compiled = [(re.compile(theirs), ours) for theirs, ours in rules]

    def rename(key: str) -> str | None:
        """Our name of a weight; None for values that are not weights."""
        if ignored is not None and re.fullmatch(ignored, key):
            return None
        for theirs, ours in compiled:
            if match := theirs.fullmatch(key):
                groups = match.groupdict()
                return ours.format(**{name: _WORDS.get(name, {}).get(word, word) for name, word in groups.items()})
        return key

    return rename


from_pyslowfast: Final = _rename(_PYSLOWFAST)
from_pytorchvideo: Final = _rename(_PYTORCHVIDEO)
from_caffe2: Final = _rename(_CAFFE2, ignored=r".*_momentum|lr|model_iter|(train|test)\w*_iter")

FORMATS: Final = (
    WeightsFormat("PySlowFast", "s1.pathway0_stem.conv.weight", from_pyslowfast),
    WeightsFormat("pytorchvideo", "blocks.0.multipathway_blocks.0.conv.weight", from_pytorchvideo),
    WeightsFormat("Caffe2", "conv1_w", from_caffe2),
)
