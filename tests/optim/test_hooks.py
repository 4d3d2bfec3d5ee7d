"""Hooks of optimisers: around steps, saving and loading."""

from kernelforge import Tensor, nn, optim


def test_hooks_are_called_in_order_and_can_be_removed(numpy_device):
    weight = nn.Parameter(Tensor([1.0, 2.0]))
    optimizer = optim.SGD([weight], lr=0.1)
    told = []
    handles = [
        optimizer.register_step_pre_hook(lambda *_: told.append("before")),
        optimizer.register_step_post_hook(lambda *_: told.append("after")),
    ]
    (weight * weight).sum().backward()
    optimizer.step()
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert told == ["before", "after"]


def test_hooks_change_the_state(numpy_device):
    optimizer = optim.SGD([nn.Parameter(Tensor([1.0]))], lr=0.1)
    told = []
    optimizer.register_state_dict_pre_hook(lambda _: told.append("saving"))
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda _, state: told.append(state.pop("note")))
    optimizer.register_load_state_dict_pre_hook(lambda _, state: told.append("first"), prepend=True)
    optimizer.register_load_state_dict_post_hook(lambda _: told.append("loaded"))
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)
    assert told == ["saving", "first", 1, "loaded"]
    assert state["note"] == 1
