"""Softmax over very many classes, the rare ones in clusters.

Comes in: features and classes, the classes ordered by how frequent they are.  Goes out: log probabilities and a loss.

source  Grave et al., "Efficient softmax approximation for GPUs", 2017
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.nn.containers import ModuleList, Sequential
from kernelforge.nn.linear import Linear
from kernelforge.nn.module import Module
from kernelforge.tensor import Tensor


class ASMoutput(NamedTuple):
    """The log probability of each target, and the mean of their negatives."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """A head for the classes below the first cutoff and one place for each cluster, and a narrower tail per cluster.

    head   Linear(in_features, cutoffs[0] + clusters)
    tail   for each cluster i two Linear layers with in_features / div_value^(i + 1) features between them
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        ends = list(cutoffs)
        if not ends or ends != sorted(set(ends)) or ends[0] <= 0 or ends[-1] > n_classes - 1:
            raise ArgumentError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        self.in_features, self.n_classes, self.div_value, self.head_bias = in_features, n_classes, div_value, head_bias
        self.cutoffs = [*ends, n_classes]
        self.shortlist_size, self.n_clusters = ends[0], len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden, size = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            narrow, wide = Linear(in_features, hidden, False, device, dtype), Linear(hidden, size, False, device, dtype)
            self.tail.append(Sequential(narrow, wide))

    def log_prob(self, input: Tensor) -> Tensor:
        """The log probabilities [N, n_classes] for features [N, in_features]."""
        head = self.head(input).log_softmax(1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            place = self.shortlist_size + i
            parts.append(tail(input).log_softmax(1) + head[:, place : place + 1])
        return parts[0].cat(*parts[1:], dim=1)

    def forward(self, input: Tensor, target: Tensor) -> ASMoutput:
        """The log probabilities of targets [N] for features [N, in_features]; both may lack N.

        raises ShapeError
        """
        if input.ndim != target.ndim + 1 or input.shape[:-1] != target.shape:
            raise ShapeError(f"AdaptiveLogSoftmaxWithLoss of {input.shape} and targets {target.shape}")
        x, wanted = (input, target) if target.ndim else (input.unsqueeze(0), target.unsqueeze(0))
        output = self.log_prob(x).gather(1, wanted.unsqueeze(1)).squeeze(1)
        return ASMoutput(output if target.ndim else output.squeeze(0), -output.mean())

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each."""
        return self.log_prob(input).argmax(1)
