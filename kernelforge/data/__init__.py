"""Batches for training: datasets, samplers, and a loader with worker processes.

    from kernelforge.data import DataLoader, TensorDataset
    for x, y in DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True, num_workers=2): ...

The names and rules are torch's. Datasets hand out NumPy arrays and Python numbers; the loader makes `Tensor`s of whole
batches, in the parent process only, so workers never open a device. Read the files in this order:

    dataset      what can be indexed or iterated, and ways to combine it
    sampler      in which order, and how many at a time
    collate      samples -> batch -> tensors; the one file that knows `Tensor`
    transport    how a batch travels between processes
    worker       the process behind the loader and the parent's handle on it
    loader       DataLoader
"""

from kernelforge.data.collate import default_collate
from kernelforge.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from kernelforge.data.loader import DataLoader
from kernelforge.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    WeightedRandomSampler,
)
from kernelforge.data.worker_info import WorkerInfo, get_worker_info

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "get_worker_info",
    "random_split",
]
