"""Algorithm 1's comparisons from files."""

from pathlib import Path

from dpo_boundary.comparisons import INDICES, OPTIONAL, REQUIRED, Comparisons, as_comparisons
from dpo_boundary.errors import BadInput
from dpo_boundary.files import Layout, read_columns, source_of

LAYOUT = Layout((REQUIRED[0], *INDICES, REQUIRED[1]), OPTIONAL, REQUIRED[:1])


def read_comparisons(path: Path | str) -> Comparisons:
    """Read comparisons, one a row.

    Needed are the columns prompt_id, on_index, off_index and on_policy_preferred (1, 0, or 0.5 for a tie); order_flip,
    on_length, off_length and on_truncated are used where they are there, others are not read. In Parquet one of these
    with nothing in it counts as not there.

    Args:
        path: a file, or "-" for standard input, as `files.read_columns` takes it.

    Raises:
        BadInput: the file is missing or broken, lacks a column, or holds a value that is not what it should be.
    """
    columns = read_columns(path, LAYOUT)
    try:
        return as_comparisons(columns)
    except BadInput as error:
        raise type(error)(f"{source_of(path)}: {error}") from error
