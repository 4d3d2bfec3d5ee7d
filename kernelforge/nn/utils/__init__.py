"""Helpers of training: limits on gradients, parametrizations, packed sequences, parameters as vectors."""

from kernelforge.nn.utils import parametrizations, parametrize, rnn
from kernelforge.nn.utils.clipping import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from kernelforge.nn.utils.renorm import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from kernelforge.nn.utils.vectors import (
    fuse_conv_bn_eval,
    fuse_linear_bn_eval,
    parameters_to_vector,
    skip_init,
    vector_to_parameters,
)

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_linear_bn_eval",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
