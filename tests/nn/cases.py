"""Every layer with arguments and inputs, for comparison with torch's layer of the same name.

A case's name is the layer's, then a word or more that tell the case.  Inputs are shapes of random floats, or arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def values(*shape: int, seed: int = 0) -> NDArray:
    """Reproducible random numbers."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


def integers(high: int, *shape: int) -> NDArray:
    """Reproducible random integers below a number."""
    return np.random.default_rng((high, *shape)).integers(0, high, shape)


LINE, IMAGE, VOLUME, ROWS = (2, 4, 9), (2, 4, 6, 7), (2, 4, 4, 5, 6), (2, 3, 8)
Case = tuple[Sequence[Any], dict[str, Any], tuple[Any, ...]]  # arguments, options, inputs


def case(*inputs: Any, **options: Any) -> Case:
    """A case of a layer with options only."""
    return (), options, inputs


def made(arguments: Sequence[Any], *inputs: Any, **options: Any) -> Case:
    """A case of a layer with arguments by position."""
    return arguments, options, inputs


CONVOLUTIONS: dict[str, Case] = {
    "Conv1d": made((4, 6, 3), LINE, padding=1, groups=2),
    "Conv1d without a batch": made((4, 6, 3), LINE[1:], stride=2),
    "Conv2d": made((4, 6, 3), IMAGE, stride=2, padding=1, dilation=2),
    "Conv2d same": made((4, 6, (2, 3)), IMAGE, padding="same", bias=False),
    "Conv2d valid": made((4, 6, 3), IMAGE, padding="valid"),
    "Conv2d circular": made((4, 6, 3), IMAGE, padding=(1, 2), padding_mode="circular"),
    "Conv2d reflect same": made((4, 6, 4), IMAGE, padding="same", padding_mode="reflect"),
    "Conv3d": made((4, 6, (1, 2, 3)), VOLUME, padding=1, groups=2),
    "ConvTranspose1d": made((4, 6, 3), LINE, stride=2, output_padding=1),
    "ConvTranspose2d": made((4, 6, 3), IMAGE, stride=2, padding=1, groups=2),
    "ConvTranspose2d dilated": made((4, 6, 3, 1, 1, 0, 1, False, 2), IMAGE),
    "ConvTranspose2d without a batch": made((4, 6, (2, 3), (1, 2)), IMAGE[1:]),
    "ConvTranspose3d": made((4, 2, 2), VOLUME, stride=2),
}
LINEARS: dict[str, Case] = {
    "Linear": made((8, 5), ROWS),
    "Linear without bias": made((8, 5), ROWS, bias=False),
    "Bilinear": made((3, 4, 5), (2, 6, 3), (2, 6, 4)),
    "Embedding": made((7, 3), integers(7, 2, 5), padding_idx=2),
    "Embedding by frequency": made((7, 3), integers(7, 2, 5), scale_grad_by_freq=True),
    "EmbeddingBag": made((7, 3), integers(7, 2, 5)),
    "EmbeddingBag sum": made((7, 3), integers(7, 2, 5), mode="sum", padding_idx=1),
    "EmbeddingBag max": made((7, 3), integers(7, 2, 5), mode="max"),
    "EmbeddingBag offsets": made((7, 3), integers(7, 9), np.array([0, 2, 2, 6])),
    "EmbeddingBag last offset": made((7, 3), integers(7, 9), np.array([0, 2, 9]), include_last_offset=True),
}
NORMS: dict[str, Case] = {
    "BatchNorm1d": made((4,), (6, 4)),
    "BatchNorm1d of lines": made((4,), LINE, affine=False),
    "BatchNorm2d": made((4,), IMAGE, momentum=0.3),
    "BatchNorm2d average": made((4,), IMAGE, momentum=None),
    "BatchNorm2d forgetful": made((4,), IMAGE, track_running_stats=False),
    "BatchNorm3d": made((4,), VOLUME),
    "SyncBatchNorm eval": made((4,), IMAGE),
    "LayerNorm": made((8,), ROWS),
    "LayerNorm of two axes": made(((3, 8),), ROWS, elementwise_affine=False),
    "LayerNorm without bias": made((8,), ROWS, bias=False),
    "RMSNorm": made((8,), ROWS),
    "RMSNorm of two axes": made(((3, 8), 1e-3), ROWS),
    "GroupNorm": made((2, 4), IMAGE),
    "GroupNorm plain": made((2, 4), LINE, affine=False),
    "InstanceNorm1d": made((4,), LINE),
    "InstanceNorm2d": made((4,), IMAGE, affine=True),
    "InstanceNorm2d running": made((4,), IMAGE, track_running_stats=True),
    "InstanceNorm2d without a batch": made((4,), IMAGE[1:]),
    "InstanceNorm3d": made((4,), VOLUME),
    "LocalResponseNorm": made((3, 0.5, 0.75, 2.0), IMAGE),
}
POOLING: dict[str, Case] = {
    "MaxPool1d": made((2,), LINE),
    "MaxPool2d": made((3,), IMAGE, stride=2, padding=1),
    "MaxPool2d ceiling": made(((2, 3), 2), IMAGE, ceil_mode=True),
    "MaxPool3d": made((2,), VOLUME, dilation=(1, 2, 2), stride=1),
    "AvgPool1d": made((3, 2, 1), LINE, count_include_pad=False),
    "AvgPool2d": made((2,), IMAGE, ceil_mode=True),
    "AvgPool2d divisor": made((3, 2, 1), IMAGE, divisor_override=5),
    "AvgPool2d divisor ceiling": made((3, 2, 1), IMAGE, ceil_mode=True, divisor_override=4),
    "AvgPool3d": made((2,), VOLUME),
    "LPPool1d": made((2, 3), LINE),
    "LPPool2d": made((2.0, 2), IMAGE),
    "LPPool3d": made((2, 2), VOLUME),
    "AdaptiveAvgPool1d": made((4,), LINE),
    "AdaptiveAvgPool2d": made(((3, None),), IMAGE),
    "AdaptiveAvgPool3d": made((2,), VOLUME),
    "AdaptiveMaxPool1d": made((4,), LINE),
    "AdaptiveMaxPool2d": made(((3, None),), IMAGE),
    "AdaptiveMaxPool2d without a batch": made((4,), IMAGE[1:]),
    "AdaptiveMaxPool3d": made((2,), VOLUME),
}
PADDING: dict[str, Case] = {
    f"{kind}Pad{rank}d": made((amount, *([0.5] if kind == "Constant" else [])), shape)
    for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
    for rank, shape, amount in ((1, LINE, (1, 2)), (2, IMAGE, 1), (3, VOLUME, (1, 2, 0, 1, 2, 1)))
}
SHAPES: dict[str, Case] = {
    "Identity": case(ROWS),
    "Flatten": case(IMAGE),
    "Unflatten": made((1, (2, 2)), IMAGE),
    "Fold": made(((4, 5), (2, 2)), (2, 12, 12)),
    "Unfold": made(((2, 3), 1, 1, 2), IMAGE),
    "PixelShuffle": made((2,), IMAGE),
    "PixelUnshuffle": made((2,), (2, 3, 4, 6)),
    "ChannelShuffle": made((2,), IMAGE),
    "Upsample": case(IMAGE, scale_factor=2),
    "Upsample linear": case(LINE, size=5, mode="linear"),
    "Upsample corners": case(IMAGE, size=(9, 4), mode="bilinear", align_corners=True),
    "Upsample bicubic": case(IMAGE, scale_factor=1.5, mode="bicubic"),
    "Upsample trilinear": case(VOLUME, size=3, mode="trilinear"),
    "UpsamplingNearest2d": case(IMAGE, size=(3, 9)),
    "UpsamplingBilinear2d": case(IMAGE, scale_factor=2),
    "CosineSimilarity": case(IMAGE, IMAGE),
    "PairwiseDistance": made((3.0,), (5, 4), (5, 4), keepdim=True),
}
ACTIVATIONS: dict[str, Case] = {
    "ReLU": case(ROWS), "ReLU6": case(ROWS), "ELU": made((0.5,), ROWS), "SELU": case(ROWS), "CELU": made((0.7,), ROWS),
    "LeakyReLU": made((0.2,), ROWS), "PReLU": made((3,), ROWS), "GELU": case(ROWS), "RReLU eval": case(ROWS),
    "GELU tanh": case(ROWS, approximate="tanh"), "SiLU": case(ROWS), "Mish": case(ROWS), "Hardswish": case(ROWS),
    "Hardsigmoid": case(ROWS), "Hardshrink": case(ROWS), "Softshrink": made((0.3,), ROWS), "GLU": case(ROWS),
    "Softplus": case(ROWS, beta=2, threshold=1), "Threshold": made((0.1, 2.0), ROWS), "Softmax": made((1,), ROWS),
    "LogSoftmax": made((-1,), ROWS), "Softmin": made((1,), ROWS), "Softmax2d": case(IMAGE), "Sigmoid": case(ROWS),
    "Tanh": case(ROWS), "Softsign": case(ROWS), "Tanhshrink": case(ROWS), "LogSigmoid": case(ROWS),
    "Hardtanh": made((-0.5, 0.7), ROWS), "Dropout eval": case(ROWS), "Dropout1d eval": case(LINE),
    "Dropout2d eval": case(IMAGE), "Dropout3d eval": case(VOLUME), "AlphaDropout eval": case(ROWS),
    "FeatureAlphaDropout eval": case(IMAGE),
}  # fmt: skip
RECURRENT: dict[str, Case] = {
    "RNN": made((3, 5), (4, 2, 3)),
    "RNN relu": made((3, 5, 2, "relu"), (4, 2, 3), bidirectional=True),
    "LSTM": made((3, 5), (4, 2, 3), batch_first=True),
    "LSTM deep": made((3, 4, 2), (2, 2, 3), bidirectional=True, bias=False),
    "LSTM projected": made((3, 4, 2), (2, 2, 3), bidirectional=True, proj_size=2),
    "LSTM without a batch": made((3, 5), (4, 3)),
    "GRU": made((3, 4, 2), (2, 2, 3)),
    "GRU backwards": made((3, 5), (4, 2, 3), bidirectional=True, batch_first=True),
    "RNNCell": made((3, 5), (2, 3), (2, 5)),
    "RNNCell relu": made((3, 5), (2, 3), nonlinearity="relu"),
    "LSTMCell": made((3, 5), (2, 3)),
    "GRUCell": made((3, 5), (2, 3), (2, 5)),
    "GRUCell without a batch": made((3, 5), (3,), bias=False),
}
ATTENTION: dict[str, Case] = {
    "MultiheadAttention": made((8, 2), (5, 3, 8), (4, 3, 8), (4, 3, 8)),
    "MultiheadAttention sizes": made((8, 2), (3, 5, 8), (3, 4, 6), (3, 4, 7), kdim=6, vdim=7, batch_first=True),
    "MultiheadAttention more": made((8, 2), (5, 3, 8), (4, 3, 8), (4, 3, 8), add_bias_kv=True, add_zero_attn=True),
    "MultiheadAttention without a batch": made((8, 2), (5, 8), (4, 8), (4, 8), bias=False),
    "TransformerEncoderLayer": made((8, 2, 16, 0.0), (5, 3, 8)),
    "TransformerEncoderLayer first": made((8, 2, 16, 0.0, "gelu"), (3, 5, 8), batch_first=True, norm_first=True),
    "TransformerDecoderLayer": made((8, 2, 16, 0.0), (5, 3, 8), (4, 3, 8)),
    "Transformer": made((4, 2, 1, 1, 4, 0.0), (3, 2, 4), (2, 2, 4)),
}
LAYERS: dict[str, Case] = {
    **CONVOLUTIONS, **LINEARS, **NORMS, **POOLING, **PADDING, **SHAPES, **ACTIVATIONS, **RECURRENT, **ATTENTION,
}  # fmt: skip

PROBABILITIES = np.random.default_rng(1).uniform(0.1, 0.9, (4, 5)).astype(np.float32)
SIGNS = np.array([1.0, -1.0, 1.0, -1.0], np.float32)
CLASSES = np.array([0, 4, 2, -100])
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.1, 1.5], np.float32)
FOUR = (4, 5)
LOSSES: dict[str, Case] = {
    "L1Loss": case(FOUR, PROBABILITIES), "MSELoss": case(FOUR, PROBABILITIES),
    "SmoothL1Loss": case(FOUR, PROBABILITIES, beta=0.5), "HuberLoss": case(FOUR, PROBABILITIES, delta=0.5),
    "KLDivLoss": case(FOUR, PROBABILITIES), "KLDivLoss logarithms": case(FOUR, FOUR, log_target=True),
    "BCELoss": case(PROBABILITIES, PROBABILITIES[::-1].copy(), weight=WEIGHTS),
    "BCEWithLogitsLoss": case(FOUR, PROBABILITIES, weight=WEIGHTS, pos_weight=WEIGHTS),
    "CrossEntropyLoss": case(FOUR, CLASSES, label_smoothing=0.1, weight=WEIGHTS),
    "CrossEntropyLoss places": case((2, 5, 3), integers(5, 2, 3)),
    "CrossEntropyLoss probabilities": case((2, 5, 3), np.abs(values(2, 5, 3)), weight=WEIGHTS),
    "NLLLoss": case(FOUR, CLASSES, weight=WEIGHTS),
    "NLLLoss places": case((2, 5, 3, 2), integers(5, 2, 3, 2), ignore_index=1),
    "SoftMarginLoss": case((4,), SIGNS), "HingeEmbeddingLoss": made((0.7,), (4,), SIGNS),
    "MarginRankingLoss": made((0.2,), (4,), (4,), SIGNS),
    "CosineEmbeddingLoss": made((0.1,), FOUR, PROBABILITIES, SIGNS),
    "TripletMarginLoss": case(FOUR, PROBABILITIES, values(4, 5, seed=3), swap=True, p=3.0),
    "TripletMarginWithDistanceLoss": case(FOUR, PROBABILITIES, values(4, 5, seed=3), margin=2.0, swap=True),
    "MultiMarginLoss": made((2, 0.7), FOUR, np.array([0, 4, 2, 1]), weight=WEIGHTS),
    "MultiLabelMarginLoss": case(FOUR, np.array([[0, 4, -1, 2, 1], [1, -1, 0, 0, 0], [4, 3, 2, 1, 0], [-1] * 5])),
    "MultiLabelSoftMarginLoss": case(FOUR, np.round(PROBABILITIES), weight=WEIGHTS),
    "PoissonNLLLoss": case(FOUR, PROBABILITIES * 5, full=True),
    "PoissonNLLLoss plain": case(PROBABILITIES, PROBABILITIES, log_input=False),
    "GaussianNLLLoss": case(FOUR, PROBABILITIES, PROBABILITIES[::-1].copy(), full=True),
}  # fmt: skip
