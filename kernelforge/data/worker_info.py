"""What a dataset can learn about the worker process it runs in.

Goes out: `WorkerInfo`, which an IterableDataset needs to yield its own share only. It knows no loader.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerInfo:
    """One worker's place among its fellows.

    id           0 to num_workers - 1
    num_workers  how many workers share the work
    seed         what `random` and `numpy.random` were seeded with for this pass: another for each worker and pass
    dataset      this process's copy of the dataset
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Current:
    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The worker this code runs in, or None in the process that owns the loader."""
    return _Current.info


def set_worker_info(info: WorkerInfo) -> None:
    """Declare this process a worker."""
    _Current.info = info
