"""What the processes that train one model do together, where there is but one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import paddle

Value = TypeVar("Value")


class Ranks:
    """The processes of a job, numbered from 0 on: `rank` is this one's number, of `count`. Process
    0 owns the run folder. On its host this process is number `local_rank`; it was started
    again `restarts` times.

    Every method but `part` and `share_of` is a meeting: all processes call it, in the same order.
    This class is the job of one process, which has nobody to meet.
    """

    rank, count, local_rank, restarts = 0, 1, 0, 0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.count == 1

    def part(self) -> None:
        """From now on this process works alone: nobody is met any more."""
        self.rank, self.count = 0, 1

    def share_of(self, rows: int) -> slice:
        """Which of so many rows are this process's: shares are neighbours, in order of rank."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def agree(self, number: int = 0) -> int:
        """Wait for all; the largest of their numbers."""
        return number

    def merged(self, value: Value, merge: Callable[[Value, Value], Value]) -> Value:
        """The values of all processes merged in order of rank, by pairs: (0 1) (2 3), then these.
        All get the same bits. Values are what `ranks.codec` can write."""
        return value

    def shared(self, value: Value) -> Value:
        """That of process 0."""
        return value

    def sum_gradients(
        self, parameters: Sequence[paddle.Tensor], loss: paddle.Tensor, weight: float
    ) -> paddle.Tensor:
        """Put the sums over all processes of `weight` times each gradient in its place; the sum of
        `weight` times the loss."""
        return loss


ALONE = Ranks()
