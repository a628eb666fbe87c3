"""Candidates from files: those of data sets and those that were sampled, each with what its source knows of them."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def read_candidates(path: str | os.PathLike) -> "pa.Table":
    """Read candidates of any source.

    Args:
        path: `schemas.OFF_POLICY_CANDIDATES`, `schemas.SAMPLED_CANDIDATES`, or a Parquet file with the columns of
            `schemas.CANDIDATES` that may not be null.

    Returns:
        `schemas.CANDIDATES`; a column that the file has not is null.

    Raises:
        BadInput: the file is not such a table.
    """
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import CANDIDATES

    return read_table(path, CANDIDATES, lacking=[field.name for field in CANDIDATES if field.nullable])


def truncated_responses(candidates: Iterable[Mapping]) -> dict[str, int]:
    """How many responses were cut when they were sampled, for a ledger; nothing where nobody knows."""
    cut = [row[name] for row in candidates for name in ("truncated_1", "truncated_2") if row[name] is not None]
    return {"truncated_responses": sum(cut)} if cut else {}
