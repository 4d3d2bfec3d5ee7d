"""The base of optimisers: parameters, learning rate, and one plan for a whole step.

Comes in: tensors with gradients.  Goes out: the same tensors with new values.  What changes from step to step (learning
rate, step count, averages) is in tensors, so every step has the same graph.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kernelforge.optim.again import Again, recorded, seen
from kernelforge.realize import Ran
from kernelforge.recording import recorder
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.convert import realize_pending


def stored(shape: tuple[int, ...], value: float, device: str | None = None) -> Tensor:
    """A float32 tensor in memory of its own, whose value the graph does not show."""
    return Tensor(np.full(shape, value, np.float32), device=device, requires_grad=False)


def check_not_negative(optimizer: Optimizer, **values: float) -> None:
    """raises ValueError when a value is negative or NaN"""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{type(optimizer).__name__} with {name}={value}: it must be at least 0")


class Optimizer:
    """What all optimisers share.

    params   the tensors it changes: those given that do not have requires_grad=False; the others are only computed
             together with them
    lr       the learning rate, a tensor without dimensions; setting it takes a number too
    """

    unguarded = frozenset(("_again", "_again_from"))  # attributes that change nothing but speed: see replay/state.py

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        given = list({id(tensor): tensor for tensor in params}.values())
        self.params = [tensor for tensor in given if tensor.requires_grad is not False]
        self.buffers = [tensor for tensor in given if tensor.requires_grad is False]
        if not self.params:
            raise ValueError("an optimiser needs at least one parameter that does not have requires_grad=False")
        for tensor in self.params:
            tensor.requires_grad = True
        check_not_negative(self, lr=lr)
        self.device = self.params[0].device
        self._again: Again | None = None
        self._again_from: list[object] = []
        self._lr = stored((), lr, self.device)
        self.params[0].realize(*self.params[1:], *self.buffers)

    @property
    def lr(self) -> Tensor:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, value: float | Tensor) -> None:
        if not isinstance(value, Tensor):
            check_not_negative(self, lr=value)
        self._lr.replace(value if isinstance(value, Tensor) else stored((), value, self.device))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for tensor in self.params:
            tensor.grad = None

    def _like(self) -> list[Tensor]:
        """For each parameter zeros of its shape, in at least float32."""
        return [
            Tensor(np.zeros(p.shape, p.dtype.arithmetic.numpy), device=p.device, requires_grad=False)
            for p in self.params
        ]

    @no_grad()
    def step(self) -> None:
        """Change the parameters that have gradients.

        Computes them, the loss and everything else assigned to since the last step in one plan.
        """
        if recorder.get() is not None:
            self._first(thorough=False)
            return
        constants = self._constants()
        if self._again is not None and self._again_from == constants and self._again.run(*self._tensors()):
            return
        before = seen([tensor for some in self._tensors() for tensor in some])
        ran = self._first(thorough=0 not in before)
        self._again, self._again_from = recorded(ran, *self._tensors(), before), constants

    def _first(self, thorough: bool) -> Ran | None:
        """A step by way of its graph; what ran.

        thorough  new values take the memory of old ones however small, so that the step can be done again without it
        """
        changed = self._shared()
        for place, tensor in enumerate(self.params):
            if tensor.grad is not None:
                changed += self._assign(place, tensor, tensor.grad)
        return realize_pending([*changed, *self.buffers], thorough)

    def _assign(self, place: int, tensor: Tensor, gradient: Tensor) -> list[Tensor]:
        """Assign its new value to a parameter; the parameter and the state that was assigned to.

        Nothing that holds the old values may outlive this: the new ones take their memory.
        """
        value = tensor.detach().cast(tensor.dtype.arithmetic)
        new, state = self._updated(place, value, gradient.cast(value.dtype))
        tensor.assign(new.cast(tensor.dtype))
        return [tensor, *state]

    def _constants(self) -> list[object]:
        """The options, which are part of a step's graph, and which parameters take part."""
        options: list[object] = [value for value in vars(self).values() if isinstance(value, int | float)]
        return options + [tensor.grad is None for tensor in self.params]

    def _tensors(self) -> tuple[list[Tensor], list[Tensor]]:
        """The tensors a step changes where they are, and the others it reads."""
        taking_part = [tensor for tensor in self.params if tensor.grad is not None]
        gradients = [tensor.grad for tensor in taking_part if tensor.grad is not None]
        return [*taking_part, *self._state()], [*gradients, self._lr]

    def _state(self) -> list[Tensor]:
        """What is kept for the parameters from step to step."""
        return []

    def _shared(self) -> list[Tensor]:
        """Update what is common to all parameters; the tensors that changed."""
        return []

    def _updated(self, place: int, value: Tensor, gradient: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The new value of parameter number `place`, and the state that was assigned to."""
        raise NotImplementedError
