"""What one process or several compute on, and how they stay alike."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import torch

from data.errors import ConfigError
from value_models.launch import process_count, require_as_asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

LONGEST_WAIT: Final = timedelta(hours=24)
"""A process may wait this long for another one, which may be decoding many hours of video. One
that died is not waited for: the launcher ends all of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hardware:
    """What this process computes on, and the processes it shares the work with."""

    accelerator: Any
    """The ``accelerate.Accelerator``; that library has no types."""

    device: torch.device
    """Where this process computes."""

    @property
    def count(self) -> int:
        """How many processes share the work."""
        return int(self.accelerator.num_processes)

    @property
    def index(self) -> int:
        """Which of them this is, from 0, the main one."""
        return int(self.accelerator.process_index)

    @property
    def is_main(self) -> bool:
        """Whether this is the one that measures, saves and reports."""
        return self.index == 0

    def own_rows(self, batch: int, *, parts: int) -> list[slice]:
        """Give the rows of a batch that this process computes, in so many parts.

        All parts of all processes are equally large: the mean over them is that over the batch.
        """
        size = batch // (self.count * parts)
        first = self.index * parts
        return [slice(part * size, (part + 1) * size) for part in range(first, first + parts)]

    def mean(self, numbers: Tensor) -> Tensor:
        """Give the mean over the processes of a tensor that each has one of."""
        if self.count == 1:
            return numbers
        mean: Tensor = self.accelerator.reduce(numbers, reduction="mean")
        return mean

    def told_by_main(self, number: float) -> float:
        """Give every process the number that the main one has."""
        return float(self._from_main(torch.tensor([number], dtype=torch.float64)))

    def same_as_main(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors in place with those that the main process has."""
        if self.count > 1:
            for tensor in tensors:
                tensor.copy_(self._from_main(tensor.detach().clone()))

    def average_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes.

        A parameter that only some of them used has a gradient of zero in the others; one that
        none used keeps none, as it would in a single process.
        """
        if self.count == 1:
            return
        used = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        in_use = [p for p, share in zip(parameters, self.mean(used).tolist(), strict=True) if share]
        for parameter in in_use:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        # One message for each kind of number, as many small ones take longer.
        for kind in {p.dtype for p in in_use}:
            some = [p.grad for p in in_use if p.dtype == kind and p.grad is not None]
            means = self.mean(torch.cat([gradient.reshape(-1) for gradient in some]))
            parts = torch.split(means, [gradient.numel() for gradient in some])
            for gradient, part in zip(some, parts, strict=True):
                gradient.copy_(part.view(gradient.shape))

    def _from_main(self, tensor: Tensor) -> Tensor:
        if self.count == 1:
            return tensor
        from accelerate.utils import broadcast

        sent: Tensor = broadcast(tensor.to(self.device).contiguous(), from_process=0)
        return sent


@contextmanager
def hardware(name: str, *, use_bfloat16: bool = False) -> Iterator[Hardware]:
    """Meet the other processes, if there are any, and say what to compute on.

    What accelerate keeps for the whole process (there can be one ``Accelerator`` at a time) is put
    back afterwards: policies are trained with other settings in the same process.

    Args:
        name: Device in torch's words; ``cpu`` is taken at its word where there is a GPU too.
        use_bfloat16: Whether ``accelerator.autocast()`` runs matrix products in bfloat16.

    Raises:
        ConfigError: If the device is not there, or the launcher started other processes than it
            was asked for.
    """
    require_device(name)
    require_as_asked()
    with _accelerate_put_back():
        yield _meet(name, precision="bf16" if use_bfloat16 else "no")


def told_by_main(number: float, *, device: str) -> float:
    """Give every process the number that the main one has; all of them must ask."""
    if process_count() == 1:
        return number
    with hardware(device) as here:
        return here.told_by_main(number)


def require_device(name: str) -> None:
    """Refuse a device that is not there.

    Raises:
        ConfigError: If it is not.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for CUDA
        reason = str(error).splitlines()[0]
        message = f"value.device={name} cannot be used here ({reason}). Use value.device=cpu."
        raise ConfigError(message) from error


def _meet(name: str, *, precision: str) -> Hardware:
    from accelerate import Accelerator
    from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs

    wanted = torch.device(name)
    had_group = torch.distributed.is_available() and torch.distributed.is_initialized()
    accelerator = Accelerator(
        cpu=wanted.type == "cpu",
        mixed_precision=precision,
        # Batches are taken apart by the training loop, whatever the launcher's settings say.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)],
    )
    if not had_group and torch.distributed.is_initialized():
        atexit.register(_part)
    if accelerator.device.type != wanted.type:
        message = (
            f"value.device={name}, but the launcher asked for {accelerator.device.type}. "
            f"Use value.device={accelerator.device.type}, or launch without --cpu."
        )
        raise ConfigError(message)
    # Each of several processes has a GPU of its own; a single one may name which it wants.
    is_alone = accelerator.num_processes == 1
    return Hardware(accelerator=accelerator, device=wanted if is_alone else accelerator.device)


def _part() -> None:
    """Leave the other processes for good, as torch asks for."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Give the states of torch's generators that training draws from."""
    states = {"cpu": torch.random.get_rng_state()}
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Set torch's generators back; a state of another kind of device is left out."""
    torch.random.set_rng_state(states["cpu"])
    if device.type != "cpu" and "device" in states:
        torch.get_device_module(device).set_rng_state(states["device"])


@contextmanager
def forked_random_state(device: torch.device) -> Iterator[None]:
    """Put torch's generators back afterwards as they were before."""
    before = random_states(device)
    try:
        yield
    finally:
        restore_random_states(before, device)


@contextmanager
def _accelerate_put_back() -> Iterator[None]:
    from accelerate.state import AcceleratorState, GradientState, PartialState

    kept = [kind._shared_state for kind in (AcceleratorState, PartialState, GradientState)]
    before = [dict(state) for state in kept]
    for state in kept:
        state.clear()
    try:
        yield
    finally:
        for state, content in zip(kept, before, strict=True):
            state.clear()
            state.update(content)
