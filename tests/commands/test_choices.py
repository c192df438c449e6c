"""Options with a fixed list of names. Commands spell some of them: the packages that define them take seconds to load."""

from collections.abc import Callable, Iterable
from typing import Any, get_args, get_type_hints

import pytest

from mgm.commands.demo import demo
from mgm.commands.embed import embed
from mgm.commands.export import export
from mgm.commands.motion import motion
from mgm.commands.prepare import prepare
from mgm.demo.plan import TaskName
from mgm.evaluation.pooling import TokenPooling
from mgm.models.convert.graph import VideoType
from mgm.models.convert.huggingface import BiasNames
from mgm.models.replacement.catalog import TRUNKS
from mgm.models.sizes import SIZES
from mgm.show.overlay import Style
from mgm.training.sections import ModelConfig
from mgm.video.transcode.choice import AUTO
from mgm.video.transcode.encoders import ENCODERS
from mgm.video.transcode.profiles import PROFILES


def names(hint: Any) -> set[str]:
    """The names that a type lists, at any depth."""
    return {hint} if isinstance(hint, str) else {name for part in get_args(hint) for name in names(part)}


@pytest.mark.parametrize(
    ("owner", "option", "known"),
    [
        (demo, "task", names(TaskName)),
        (embed, "pooling", names(TokenPooling)),
        (export, "video", names(VideoType)),
        (export, "bias_names", names(BiasNames)),
        (motion, "style", names(Style)),
        (prepare, "profile", PROFILES),
        (prepare, "encoder", {AUTO, *ENCODERS}),
        (ModelConfig, "size", SIZES),
        (ModelConfig, "replacement", TRUNKS),
    ],
)
def test_an_option_lists_all_names(owner: Callable[..., Any], option: str, known: Iterable[str]) -> None:
    assert names(get_type_hints(owner)[option]) == set(known)
