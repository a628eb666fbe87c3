"""A table in the forms that users have it as arrays that are checked.

A mapping of columns, a data frame (pandas, polars), a table of Arrow or of Hugging Face's datasets, a structured array, or rows.
"""

from collections.abc import Collection, Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dpo_boundary.errors import BadInput, NoComparisons

if TYPE_CHECKING:
    import os

    import pandas as pd
    import pyarrow as pa

AnyTable: TypeAlias = "Mapping[str, Iterable] | pd.DataFrame | pa.Table | np.ndarray | Iterable[Mapping[str, object]] | str | os.PathLike[str]"

NOTHING = "there is no comparison at all; give at least one row"


def as_columns(table: AnyTable, required: Collection[str], optional: Collection[str]) -> dict[str, np.ndarray]:
    """The columns of these names, one array each; a row that lacks one which others have gives None.

    Raises:
        BadInput: it is no table, a required column is missing, or one holds anything but single values.
    """
    there = column_names(table)
    if there is None:
        rows = as_list(table, required)
        if odd := [row for row in rows if not isinstance(row, Mapping)]:
            raise no_table(f"a row is {_kind(odd[0])}", required)
        if not rows:
            raise NoComparisons(NOTHING)
        there = [name for name in (*required, *optional) if any(name in row for row in rows)]
        table = {name: [row.get(name) for row in rows] for name in there}
    for name in required:
        if name not in there:
            raise BadInput(f"the comparisons lack the column {name}; each needs {' and '.join(required)}")
    return {name: _array(name, table[name]) for name in (*required, *optional) if name in there}


def column_names(table: Any) -> list[str] | None:
    """The names of a table's columns, each of which is `table[name]`; None where it has rows instead."""
    if isinstance(table, Mapping):
        return list(table)
    for name in ("column_names", "columns"):  # of Arrow and datasets; of data frames
        if hasattr(table, name):
            return list(getattr(table, name))
    return list(table.dtype.names) if isinstance(table, np.ndarray) and table.dtype.names else None


def as_list(table: Any, required: Collection[str]) -> list:
    """The elements of what has no columns: rows, or votes alone."""
    if isinstance(table, (str, bytes)):
        raise no_table(f"they are {_kind(table)}", required)
    for name in ("to_pylist", "tolist"):  # of Arrow; of numpy, pandas and torch
        if hasattr(table, name):
            table = getattr(table, name)()
    try:
        return list(table)
    except TypeError:
        raise no_table(f"they are {_kind(table)}", required) from None


def is_number(value: object) -> bool:
    """Whether it is a number or a boolean."""
    return isinstance(value, (Real, np.bool_))


def no_table(found: str, required: Collection[str]) -> BadInput:
    """What is to be given where no table was."""
    return BadInput(
        f"the comparisons are no table: {found}; give the name of a file, a data frame, a table of Arrow, a mapping of columns "
        f"or a list of mappings, with {' and '.join(required)}"
    )


def _kind(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"


def _array(name: str, column: Any) -> np.ndarray:
    """A column as an array of one dimension."""
    try:
        if hasattr(column, "to_pylist"):  # of Arrow
            column = column.to_pylist()
        array = np.asarray(column if hasattr(column, "__len__") else list(column))
    except (TypeError, ValueError):
        array = np.empty(())
    if array.ndim != 1:
        raise BadInput(
            f"the column {name} of the comparisons is no list of single values; give one for each comparison"
        )
    return array


def without_unknown(columns: dict[str, np.ndarray], optional: Collection[str]) -> dict[str, np.ndarray]:
    """All columns but optional ones with nothing in them: nobody knows."""
    return {
        name: column
        for name, column in columns.items()
        if name not in optional or not all(map(is_missing, column.tolist()))
    }


def check_lengths(columns: dict[str, np.ndarray]) -> None:
    """Raise BadInput unless all columns have the same positive number of elements."""
    lengths = {len(column) for column in columns.values()}
    if not max(lengths):
        raise NoComparisons(NOTHING)
    if len(lengths) > 1:
        raise BadInput("the columns of the comparisons differ in length; each comparison needs all of them")


def is_missing(value: object) -> bool:
    """Whether it is None, an empty text, or one of the values that are not equal to themselves: NaN, NaT, pandas' NA."""
    return value is None or (not value.strip() if isinstance(value, str) else (value == value) is not True)


def numbers(columns: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A column of numbers; BadInput where one is missing or is none."""
    try:
        values = columns[name].astype(float)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"the column {name} of the comparisons holds what is not a number ({error})") from error
    if np.isnan(values).any():
        raise BadInput(f"the column {name} of the comparisons has {int(np.isnan(values).sum())} empty values")
    return values


def named(columns: dict[str, np.ndarray], name: str, else_they: str) -> tuple[tuple[str, ...], np.ndarray]:
    """A column of names: each of them once, sorted, and for each element the position of its own.

    Args:
        columns: by name.
        name: of the column.
        else_they: what would become of empty names, such as "would be one prompt".
    """
    given = columns[name].tolist()
    if missing := sum(map(is_missing, given)):
        raise BadInput(f"the column {name} of the comparisons has {missing} empty values; they {else_they}")
    each, position = np.unique([str(value) for value in given], return_inverse=True)
    return tuple(each.tolist()), position
