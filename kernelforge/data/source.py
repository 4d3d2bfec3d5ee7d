"""Where batches come from: a dataset, and the way from a task to a batch of its samples.

Comes in: a dataset, a collate function, tasks. Goes out: batches in NumPy. The same code runs in the loop itself and in
worker processes; it knows neither.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

from kernelforge.data.collate import refuse_tensors, stack
from kernelforge.data.dataset import sample, samples, stacked

Collate: TypeAlias = Callable[[Any], Any]

END: Final = object()  # instead of a batch: there are no more


@dataclass(frozen=True)
class IndexedSource:
    """A dataset with samples by index: a task is the list of a batch's indices or, unbatched, one index."""

    dataset: Any
    collate: Collate | None
    batched: bool

    def start(self) -> Callable[[Any], Any]:
        """The function from task to batch for one pass."""
        return self._batch if self.batched else self._sample

    def _batch(self, indices: Sequence[int]) -> Any:
        batch = stacked(self.dataset, indices) if self.collate is None else None
        if batch is not None:
            return batch
        found = samples(self.dataset, indices)
        try:
            return stack(found) if self.collate is None else refuse_tensors(self.collate(found))
        except Exception as error:
            error.add_note(f"raised by the batch of samples {list(indices)[:16]}")
            raise

    def _sample(self, index: int) -> Any:
        found = sample(self.dataset, index)
        return refuse_tensors(found if self.collate is None else self.collate(found))


@dataclass(frozen=True)
class StreamedSource:
    """An IterableDataset: every task asks for the stream's next batch or, with batch_size None, its next sample."""

    dataset: Any
    collate: Collate | None
    batch_size: int | None
    drop_last: bool

    def start(self) -> Callable[[Any], Any]:
        """The function from task to batch for one pass, over a new iterator; END when that has no more."""
        stream = iter(self.dataset)

        def batch(_: Any) -> Any:
            together = list(islice(stream, self.batch_size or 1))
            if not together or (self.drop_last and len(together) < (self.batch_size or 1)):
                return END
            if self.batch_size is None:
                return refuse_tensors(together[0] if self.collate is None else self.collate(together[0]))
            return stack(together) if self.collate is None else refuse_tensors(self.collate(together))

        return batch


Source: TypeAlias = IndexedSource | StreamedSource
