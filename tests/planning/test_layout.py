"""Layouts of whole plans: what is alive at a time lies apart, whether results have blocks of their own or share one."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit, nn
from kernelforge.nn import optim
from kernelforge.planning import layout
from kernelforge.planning.layout import alive, gathered, held
from kernelforge.planning.steps import Plan
from kernelforge.realize import realize
from tests.guarded import GUARDED
from tests.planning.layouts import overlapping
from tests.random_graphs import Options, random_graph

WIDTHS = [(40, 90), (90, 130), (130, 70), (70, 40)]  # of weights, the gradients of which are results


def random_plan(seed: int) -> Plan | None:
    """The plan of a random graph, the results and intermediate results of which count as large."""
    ran = realize(random_graph(random.Random(seed), Options(steps=24, outputs=5)))
    return None if ran is None else ran.plan


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small results are worth it."""
    monkeypatch.setattr("kernelforge.planning.memory.LARGE", 8)
    monkeypatch.setattr(layout, "LEAST_KEPT", 8)
    monkeypatch.setattr(layout, "LEAST_WHOLE", 8)


@pytest.mark.parametrize("seed", range(60))
def test_random_plans(seed: int, small: None, numpy_device: None) -> None:
    plan = random_plan(seed)
    if plan is None:
        return
    layout.lay_out(plan)
    assert not overlapping(plan)
    assert max(alive(plan), default=0) <= held(plan)
    own = gathered(plan, [slot for slot in plan.results if plan.slots[slot].role == "result"])
    assert not overlapping(own)
    assert max(alive(own), default=0) <= held(own)


def trained(count: int, captured: bool = True) -> tuple[Any, list[list[Tensor]]]:
    """A step that trains, after so many calls, and the gradients each left behind."""
    rng = np.random.default_rng(0)
    layers = [nn.Linear(*widths) for widths in WIDTHS]
    parameters = [weight for layer in layers for weight in layer.parameters()]
    for weight in parameters:
        weight.assign(Tensor(rng.standard_normal(weight.shape).astype(np.float32) / 8)).realize()
    optimizer = optim.SGD(parameters, lr=0.01, momentum=0.9)

    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        y = x
        for layer in layers:
            y = layer(y).tanh()
        loss = (y - x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run, kept = jit(step) if captured else step, []
    for _ in range(count):
        run(Tensor(rng.standard_normal((700, WIDTHS[0][0])).astype(np.float32)).realize()).realize()
        kept.append([weight.grad for weight in parameters if weight.grad is not None])
    return run, kept


def replayed(step: Any) -> Plan:
    """The plan of a captured step's replays."""
    run = step._entries[0].capture.steps[-1]
    return (run.in_place or run.repeated).plan


@pytest.mark.skipif(GUARDED, reason="guarded results have memory of their own")
def test_gradients_that_a_replay_forgets_lie_with_its_intermediate_results() -> None:
    step, _ = trained(4)
    plan = replayed(step)
    assert plan.together and not overlapping(plan)
    assert held(plan) < max(alive(plan)) * 1.15


@pytest.mark.parametrize("seed", range(30))
def test_a_block_moved_onto_another_is_found(seed: int, small: None, numpy_device: None) -> None:
    """What finds overlaps finds each of those that are made."""
    plan = random_plan(seed)
    if plan is None:
        return
    layout.lay_out(plan)
    where = layout.lives(plan)
    for (a, block), (b, other) in itertools.combinations(plan.scratch, 2):
        if where[a][0] <= where[b][1] and where[b][0] <= where[a][1] and plan.slots[a].nbytes and plan.slots[b].nbytes:
            moved = [(slot, other if slot == a else place) for slot, place in plan.scratch]
            assert (min(a, b), max(a, b)) in overlapping(replace(plan, scratch=moved)), (block, other)


def test_gradients_stay_what_they_were_for_whoever_keeps_them() -> None:
    for new, old in zip(trained(7)[1], trained(7, captured=False)[1]):
        for x, y in zip(new, old):
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-4, atol=1e-6)
