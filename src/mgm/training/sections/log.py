"""The section `log`."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field, field_validator

from mgm.errors import ConfigError
from mgm.training.sections.section import Section
from mgm.training.trackers import TrackerName


class LogConfig(Section):
    """What a run writes besides log.jsonl and TensorBoard; no result depends on it."""

    trackers: tuple[TrackerName, ...] = Field((), description="services that show the curves too: wandb, mlflow")
    project: str = Field("mgm", min_length=1, description="name under which they collect runs")

    pictures: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="steps after which pretraining draws a few clips: frames, motion, mask, reconstruction; such as [1, 100]",
    )

    @field_validator("pictures", mode="before")
    @classmethod
    def _known_steps(cls, value: Any) -> Any:
        """Accept a list, since YAML and JSON have no tuples."""
        whole = isinstance(value, list | tuple) and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
        if not whole or any(v < 1 for v in value):
            raise ConfigError("", "", "a list of steps, such as [1, 100, 1000]", reason="invalid_value")
        return tuple(value)

    @field_validator("trackers", mode="before")
    @classmethod
    def _known_trackers(cls, value: Any) -> Any:
        """Accept a list, since YAML and JSON have no tuples, of different services."""
        known = get_args(TrackerName)
        if not isinstance(value, list | tuple) or any(value.count(v) > 1 or v not in known for v in value):
            raise ConfigError("", "", f"a list of {', '.join(known)}, such as [wandb]", reason="invalid_value")
        return tuple(value)
