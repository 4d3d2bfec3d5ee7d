"""Every boundary between kernels has reasons, and removing what they state removes it."""

import numpy as np
import pytest

from codegen.target import CPU, SM90, Target
from kernelforge import Tensor, nn
from kernelforge.fusion import boundaries
from kernelforge.fusion.boundaries import ADVICE, advice
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.limits import Limits
from kernelforge.fusion.story import Story, told
from kernelforge.nn import functional
from kernelforge.realize import planned as steps
from kernelforge.tensor import Tensor as AnyTensor
from tests.fused import tensor, to_compute


def story_of(*tensors: AnyTensor, target: Target = CPU, ignoring: frozenset[str] = frozenset()) -> Story:
    """What fusion tells of tensors, as far as it is not asked to ignore objections."""
    nodes = to_compute(*tensors, target=target)
    with told() as story:
        groups(nodes, target, ignoring)
    return story


def network():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    model(tensor(6, 2, 8, 8)).cross_entropy(Tensor(np.arange(6) % 5)).backward()
    return [p.grad for p in model.parameters()]


def attention_gradients():
    q, k, v = (tensor(1, 2, 40, 16, seed=i).requires_grad_() for i in range(3))
    q.scaled_dot_product_attention(k, v).sum().backward()
    return [q.grad, k.grad, v.grad]


PROGRAMS = {
    "two products": lambda: [tensor(40, 300) @ tensor(300, 200) @ tensor(200, 30)],
    "a norm of a product": lambda: [(tensor(200, 300) @ tensor(300, 150)).softmax()],
    "asked to be contiguous": lambda: [(tensor(64, 64) + 1).contiguous().exp()],
    "one number for many": lambda: [tensor(300, 200) * s + tensor(300, 200).sum(0) * s
                                    for s in [tensor(50).sum()]],
    "a scan the other way": lambda: [x.cumsum(1).flip(1).cumsum(1) for x in [tensor(30, 40)]],
    "a product of a sum": lambda: [(x / x.sum(0)) @ x for x in [tensor(300, 300)]],
    "pooling of a sum": lambda: [tensor(2, 3, 20, 20, 8).sum(4).max_pool2d(3, 1)],
    "a long chain": lambda: [long_chain()],
    "gradients of a network": network,
    "gradients of attention": attention_gradients,
}  # fmt: skip


def long_chain():
    x = y = tensor(100)
    for i in range(300):
        y = (y * (1 + i)).sin()
    return x + y


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("target", [CPU, SM90], ids=["cpu", "gpu"])
def test_every_boundary_has_reasons_that_are_told(name, target):
    story = story_of(*PROGRAMS[name](), target=target)
    for boundary in story.boundaries:
        assert boundary.reasons and all(advice(reason) for reason in boundary.reasons)
        assert boundary.nbytes > 0 and boundary.earlier < boundary.later < len(story.groups)
        assert boundary.point in story.groups[boundary.earlier]


SPECIAL = {"asked to be contiguous", "another kernel lies between", boundaries.OWN_USE, boundaries.UNTRIED}
HARD = SPECIAL | set(boundaries.FORCED.values())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_boundary_goes_when_its_reasons_do(name):
    """Fusion that does not heed the reasons of a boundary joins what they kept apart."""
    tensors = PROGRAMS[name]()
    story = story_of(*tensors)
    assert story.boundaries
    for boundary in story.boundaries:
        if HARD.isdisjoint(boundary.reasons):
            after = story_of(*tensors, ignoring=frozenset(boundary.reasons))
            before, left = (
                {frozenset((b.earlier, b.later)) for b in told.boundaries if b.point == boundary.point}
                for told in (story, after)
            )
            assert len(left) < len(before), boundary


def test_without_contiguous_there_is_no_boundary():
    x = tensor(64, 64) + 1
    (boundary,) = story_of(x.contiguous().exp()).boundaries
    assert boundary.reasons == ("asked to be contiguous",)
    assert not story_of(x.exp()).boundaries


def test_with_more_operations_in_a_kernel_a_long_chain_is_one(monkeypatch):
    y = long_chain()
    assert {reason for b in story_of(y).boundaries for reason in b.reasons} <= {"too many operations", "bounded"}
    limits = Limits(operations=10_000)
    monkeypatch.setattr(Limits, "of", staticmethod(lambda target: limits))
    assert not story_of(y).boundaries


def test_on_one_processor_few_programs_are_no_reason(monkeypatch):
    with told() as story:
        steps([tensor(1 << 18).sum()._node])
    (boundary,) = story.boundaries
    assert "stored by a rewrite: split" in boundary.reasons and "processors" in advice(boundary.reasons[0])


def test_rewrites_are_told():
    with told() as story:
        steps([functional.gelu(tensor(9, 9) * 1 + 0).sum()._node])
    assert [rewrite.name for rewrite in story.rewrites][:2] == ["spelled out", "simplify"]
    assert any("mul" in text for text in story.rewrites[1].removed)
    assert not story.origins and all(point.nbytes for point in story.asked)


def test_all_advice_is_for_reasons_there_are():
    assert all(isinstance(text, str) and text for text in ADVICE.values())
    assert not set(boundaries.FORCED.values()) - ADVICE.keys()
    with pytest.raises(KeyError):
        advice("nobody gives this reason")
