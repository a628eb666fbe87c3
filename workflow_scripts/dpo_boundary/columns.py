"""A table in the forms that users have it, a mapping of columns, a data frame or a list of rows, as arrays that are checked."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dpo_boundary.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

AnyTable: TypeAlias = "Mapping[str, Iterable] | pd.DataFrame | Iterable[Mapping[str, object]]"


def as_columns(table: AnyTable, required: Collection[str], optional: Collection[str]) -> dict[str, np.ndarray]:
    """The columns of these names, one array each; a row that lacks one which others have gives None.

    Raises:
        BadInput: a required column is missing.
    """
    if not isinstance(table, Mapping) and not hasattr(table, "columns"):  # rows
        rows = list(table)
        there = [name for name in (*required, *optional) if any(name in row for row in rows)]
        table = {name: [row.get(name) for row in rows] for name in there}
    there = list(table.keys())
    for name in required:
        if name not in there:
            raise BadInput(f"the comparisons lack the column {name}; each needs {' and '.join(required)}")
    return {name: np.asarray(table[name]) for name in (*required, *optional) if name in there}


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
        raise BadInput("there is no comparison at all; give at least one row")
    if len(lengths) > 1:
        raise BadInput("the columns of the comparisons differ in length; each comparison needs all of them")


def is_missing(value: object) -> bool:
    """Whether it is None, an empty text, or one of the values that are not equal to themselves: NaN, NaT, pandas' NA."""
    return value is None or (not value.strip() if isinstance(value, str) else (value == value) is not True)


def numbers(columns: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A column of numbers; BadInput where one is missing or is none."""
    try:
        values = columns[name].astype(float)
    except (TypeError, ValueError) as error:
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
