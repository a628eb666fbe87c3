"""Shards: a stage whose rows do not depend on each other may run as several jobs, each with a slice of the rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dpo_stages.core.errors import BadInput


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `total` slices that follow each other; their sizes differ by one row at most."""

    number: int
    total: int

    def __call__(self, rows: Sequence) -> Sequence:
        """This shard's slice of `rows` (a list, or an Arrow table)."""
        begin, end = (len(rows) * part // self.total for part in (self.number - 1, self.number))
        return rows[begin:end]


def parse_shard(text: str) -> Shard:
    """Read `2-of-8`, as Snakemake numbers its shards.

    Raises:
        BadInput: it is not of that form, or there is no such shard.
    """
    match = re.fullmatch(r"([0-9]+)-of-([0-9]+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise BadInput(f"--shard is {text}; write K-of-N with K from 1 to N, as in 2-of-8")
    return Shard(int(match[1]), int(match[2]))


def add_shard_flag(parser) -> None:
    """Add `--shard` to a program's flags; `parse_shard` reads it."""
    parser.add_argument(
        "--shard",
        default="1-of-1",
        metavar="K-OF-N",
        help="only the K-th of N slices of the rows, for gather_shards.py to join (default: %(default)s)",
    )
