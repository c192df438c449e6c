"""A model on its devices: wrapped for them, with its optimiser and its moving average; their state, whole, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mgm.errors import ConfigError
from mgm.models.accelerate import accelerate_cpu
from mgm.training.fabric import Fabric
from mgm.training.method import TrainingMethod
from mgm.training.sections import OptimConfig
from mgm.training.sharding import distribute_model_state, distribute_optimiser_state, gathered, local


@dataclass(slots=True)
class MovingAverage:
    """The exponential moving average of a model's parameters, on their devices and with their distribution.

    Attributes:
        decay: weight of the average in each step.
        values: name -> parameter; at first the model's own.
    """

    decay: float
    module: nn.Module
    values: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.values = {name: value.detach().clone() for name, value in self.module.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the model, after a step of the optimiser."""
        now = [local(value.detach()) for value in self.module.parameters()]
        get_ema_multi_avg_fn(self.decay)([local(value) for value in self.values.values()], now, 1)  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, Tensor]:
        """The state dict of the model with averaged parameters."""
        return {**self.module.state_dict(), **self.values}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        for name, value in self.values.items():
            value.copy_(state[name])


@dataclass(slots=True)
class KeptStatistics:
    """The running statistics of a model, which its forward pass changes, as of the last finished step.

    A step that is skipped, or stopped after some of its micro-batches, must leave no trace in them.

    Attributes:
        live: buffers of the state dict, such as those of batch norm.
        kept: their copies.
    """

    live: list[Tensor]
    kept: list[Tensor]

    @classmethod
    def of(cls, module: nn.Module) -> KeptStatistics:
        """Those of a model, as they are now."""
        own = {name for name, _ in module.named_parameters(remove_duplicate=False)}
        live = [value for name, value in module.state_dict(keep_vars=True).items() if name not in own]
        return cls(live, [value.clone() for value in live])

    def keep(self) -> None:
        """Keep the present ones."""
        for kept, live in zip(self.kept, self.live, strict=True):
            kept.copy_(live)

    def restore(self) -> None:
        """Return to the kept ones."""
        for kept, live in zip(self.kept, self.live, strict=True):
            live.copy_(kept)


@dataclass(slots=True, eq=False)
class Engine:
    """The model, the optimiser and the moving average of a run on its devices.

    Attributes:
        module: the model as wrapped for the devices; `method.module` shares its parameters.
        optimiser: of these parameters.
        stepper: the optimiser as Fabric wraps it, with the scaler of 16-bit gradients.
        average: None if the run keeps none.
        statistics: of the model.
    """

    fabric: Fabric
    method: TrainingMethod
    module: Any
    optimiser: torch.optim.Optimizer
    stepper: Any
    average: MovingAverage | None
    statistics: KeptStatistics

    @classmethod
    def build(cls, fabric: Fabric, method: TrainingMethod, optim: OptimConfig, *, peak: float) -> Engine:
        """Move the model to the devices, and make its optimiser.

        Args:
            peak: the highest learning rate.
        """
        if fabric.device.type == "cpu" and not optim.compile:
            accelerate_cpu(method.module)  # the compiler cannot see into its operations
        model = torch.compile(method.module) if optim.compile else method.module
        module = fabric.setup_module(model)
        optimiser = method.build_optimiser(peak)  # after the model: sharding replaces its parameters
        average = None if optim.ema is None else MovingAverage(optim.ema, method.module)
        statistics = KeptStatistics.of(method.module)
        return cls(fabric, method, module, optimiser, fabric.setup_optimizers(optimiser), average, statistics)

    def step(self) -> None:
        """Change the weights by the accumulated gradient, and the average by the weights."""
        self.stepper.step()
        self.statistics.keep()
        if self.average is not None:
            self.average.update()

    def state(self) -> dict[str, Any]:
        """Whole tensors for a checkpoint: the same for any number of devices. All devices must call it.

        They are those after the last finished step, also in the middle of another one.
        """
        self.statistics.restore()
        state = {"model": self.method.module.state_dict(), "optimiser": self.optimiser.state_dict()}
        if self.average is not None:
            state["ema"] = self.average.state_dict()
        # the scale of 16-bit gradients
        return {**gathered(state), "precision": self.fabric.strategy.precision.state_dict()}

    def load(self, content: Mapping[str, Any]) -> None:
        """Restore what `state` returned, for the present settings. A run that had no average before begins with the weights.

        Raises:
            ConfigError: the settings divide the parameters into other groups.
        """
        module = self.method.module
        module.load_state_dict(distribute_model_state(content["model"], module))
        self.statistics.keep()
        self._load_optimiser(content["optimiser"])
        if content["precision"]:  # else that run had no scaler
            self.fabric.strategy.precision.load_state_dict(content["precision"])
        if self.average is not None:
            self.average.load_state_dict(distribute_model_state(content.get("ema", content["model"]), module))

    def _load_optimiser(self, state: Mapping[str, Any]) -> None:
        """Restore its state, and leave its rates, which torch would restore too: the settings may have changed since."""
        options = [{k: v for k, v in group.items() if k != "params"} for group in self.optimiser.param_groups]
        try:
            self.optimiser.load_state_dict(distribute_optimiser_state(state, self.optimiser))
        except ValueError as error:
            found = (
                "weight_decay, layer_decay or body_lr divides the parameters into other groups than in the checkpoint"
            )
            advice = "keep a weight_decay of 0 at 0, rates of 1 at 1, and others off these"
            raise ConfigError("change", found, advice=advice, reason="unsupported") from error
        for group, own in zip(self.optimiser.param_groups, options, strict=True):
            group.update(own)
