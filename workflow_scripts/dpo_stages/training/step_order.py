"""In which order the rows of one optimiser step are computed: like lengths together, so that little is padded.

Which rows share a step is drawn from the seed as ever. Their gradients are summed, and the sum does not ask for an order.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler

if TYPE_CHECKING:
    import pyarrow as pa


def dealt(rows: Sequence[int], lengths: Sequence[int], at_once: int, devices: int) -> list[int]:
    """The rows of one step, longest first, so that too long a batch fails at once.

    Consecutive runs of `at_once` rows are the micro-batches, and `devices` of these are computed side by side; rows of like lengths
    are dealt to them in turn, since all wait for the slowest.

    Args:
        rows: positions of rows.
        lengths: of all rows, in tokens.
        at_once: rows of a micro-batch.
        devices: number of processes.
    """
    order = sorted(rows, key=lambda row: (-lengths[row], row))
    blocks = [order[start : start + at_once * devices] for start in range(0, len(order), at_once * devices)]
    whole = [block for block in blocks if len(block) == at_once * devices]
    rest = blocks[len(whole) :]  # of an epoch's last step: too few to deal, and cut where the others are
    hands = [row for block in whole for device in range(devices) for row in block[device::devices]]
    return hands + [row for block in rest for row in block]


class LikeLengths(Sampler[int]):
    """Rows in the order that Accelerate draws with a seed, those of a step as `dealt`.

    Args:
        lengths: of all rows, in tokens.
        at_once: rows of a micro-batch.
        accumulation: micro-batches that a device computes a step.
        devices: number of processes.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[int], at_once: int, accumulation: int, devices: int, seed: int) -> None:
        self.lengths, self.at_once, self.devices = lengths, at_once, devices
        self.step = at_once * accumulation * devices
        self.drawn = SeedableRandomSampler(lengths, data_seed=seed)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        drawn = list(self.drawn)
        for start in range(0, len(drawn), self.step):
            yield from dealt(drawn[start : start + self.step], self.lengths, self.at_once, self.devices)

    def set_epoch(self, epoch: int) -> None:
        """Draw another order in every epoch."""
        self.drawn.set_epoch(epoch)


def row_lengths(table: "pa.Table", *columns: str) -> list[int]:
    """Tokens of each row: the sum over columns of token ids."""
    import pyarrow.compute as pc

    total = pc.list_value_length(table[columns[0]])
    for name in columns[1:]:
        total = pc.add(total, pc.list_value_length(table[name]))
    return total.to_pylist()
