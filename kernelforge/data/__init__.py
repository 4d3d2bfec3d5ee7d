"""Batches for training: datasets, samplers, and a loader with worker processes.

    from kernelforge.data import DataLoader, TensorDataset
    for x, y in DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True, num_workers=2): ...

The names and rules are torch's. Datasets hand out NumPy arrays and Python numbers; the loader makes `Tensor`s of whole
batches, in the parent process only, so workers never open a device. Read the files in this order:

    dataset      what can be indexed or iterated, and ways to combine it
    sampler      in which order, and how many at a time
    collate      samples -> batch -> tensors
    source       dataset and collate function together: from a task to a batch
    transport    how batches and datasets travel between processes
    worker       a process that makes batches, and the parent's handle on it; worker_info: what it tells a dataset
    pool         the workers of one loader and their turns
    loader       DataLoader
    files        readers of idx, csv, JSON lines and images; filesets: datasets over files
"""

from kernelforge.data.collate import default_collate, default_convert
from kernelforge.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from kernelforge.data.files import read_csv, read_idx, read_image, read_jsonl
from kernelforge.data.filesets import ImageFolder, JsonLines, NpyDataset
from kernelforge.data.loader import DataLoader
from kernelforge.data.sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from kernelforge.data.worker_info import WorkerInfo, get_worker_info
from kernelforge.io.arrays import read_npy, read_npz
from kernelforge.progress import progress, trange

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "ImageFolder",
    "IterableDataset",
    "JsonLines",
    "NpyDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "progress",
    "random_split",
    "read_csv",
    "read_idx",
    "read_image",
    "read_jsonl",
    "read_npy",
    "read_npz",
    "trange",
]
