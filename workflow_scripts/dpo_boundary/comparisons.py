"""Algorithm 1's comparisons: a table, a data frame or a list of rows becomes columns that are checked."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dpo_boundary.columns import (
    AnyTable,
    as_columns,
    as_list,
    check_lengths,
    column_names,
    is_number,
    named,
    numbers,
    without_unknown,
)
from dpo_boundary.errors import BadInput

REQUIRED = ("prompt_id", "on_policy_preferred")
INDICES = ("on_index", "off_index")
OPTIONAL = ("order_flip", "on_length", "off_length", "on_truncated")


@dataclass(frozen=True)
class Comparisons:
    """Columns of Algorithm 1's comparisons, one element a comparison.

    Attributes:
        prompt_ids: identifiers of the prompts, sorted, each once.
        prompt: for each comparison, the position of its prompt in `prompt_ids`.
        preferred: 1 where the on-policy candidate is preferred, 0 where the off-policy one is, 0.5 for a tie.
        order_flip: whether the two orders of presentation disagree; None if unknown.
        on_length: length of the on-policy candidate in any one unit; None if unknown.
        off_length: the same of the off-policy candidate.
        on_truncated: whether the on-policy candidate was cut at the limit of its length; None if unknown.
    """

    prompt_ids: tuple[str, ...]
    prompt: np.ndarray
    preferred: np.ndarray
    order_flip: np.ndarray | None = None
    on_length: np.ndarray | None = None
    off_length: np.ndarray | None = None
    on_truncated: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.preferred)

    def where(self, chosen: np.ndarray) -> "Comparisons":
        """The comparisons for which the boolean array `chosen` holds; prompts without one are left out."""
        kept, prompt = np.unique(self.prompt[chosen], return_inverse=True)
        columns = {name: None if getattr(self, name) is None else getattr(self, name)[chosen] for name in OPTIONAL}
        return Comparisons(tuple(self.prompt_ids[number] for number in kept), prompt, self.preferred[chosen], **columns)

    def by_prompt(self) -> tuple[np.ndarray, np.ndarray]:
        """On-policy votes and number of comparisons of each prompt, in the order of `prompt_ids`."""
        prompts = len(self.prompt_ids)
        return np.bincount(self.prompt, self.preferred, prompts), np.bincount(self.prompt, minlength=prompts)


Table: TypeAlias = "Comparisons | AnyTable | Iterable[float]"


def joined(parts: list[Comparisons]) -> Comparisons:
    """Comparisons of several blocks in one."""
    columns = {"prompt_id": np.concatenate([np.array(part.prompt_ids)[part.prompt] for part in parts])}
    columns["on_policy_preferred"] = np.concatenate([part.preferred for part in parts])
    for name in OPTIONAL:
        if all(getattr(part, name) is not None for part in parts):
            columns[name] = np.concatenate([getattr(part, name) for part in parts])
    return as_comparisons(columns)


def as_comparisons(table: Table) -> Comparisons:
    """Check comparisons in any of the forms that `measure_boundary` takes and give them as arrays.

    An optional column with nothing in it counts as not there: nobody knows. Of votes alone each is about a prompt of its own.

    Raises:
        BadInput: it is no table, a column is missing, a value is not what it should be, or there is no comparison at all.
    """
    if isinstance(table, Comparisons):
        return table
    if isinstance(table, (str, os.PathLike)):
        from dpo_boundary.reading import read_comparisons

        return read_comparisons(table)
    if column_names(table) is None:
        table = as_list(table, REQUIRED)
        if table and all(map(is_number, table)):
            table = {"prompt_id": range(len(table)), "on_policy_preferred": table}
    columns = without_unknown(as_columns(table, REQUIRED, (*INDICES, *OPTIONAL)), OPTIONAL)
    preferred = numbers(columns, "on_policy_preferred")
    check_lengths(columns)
    odd = preferred[~np.isin(preferred, (0.0, 0.5, 1.0))]
    if len(odd):
        raise BadInput(
            f"on_policy_preferred is {odd[0]:g} in {len(odd)} of {len(preferred)} comparisons; it is 1 where the "
            "on-policy candidate is preferred, 0 where the off-policy one is, 0.5 for a tie"
        )
    prompt_ids, prompt = named(columns, "prompt_id", "would be one prompt")
    if all(name in columns for name in INDICES):
        pairs = np.stack([prompt, numbers(columns, "on_index"), numbers(columns, "off_index")])
        kinds, times = np.unique(pairs, axis=1, return_counts=True)
        if (times > 1).any():
            number, on, off = kinds[:, times.argmax()]
            raise BadInput(
                f"the comparison of candidates {on:g} and {off:g} on prompt {prompt_ids[int(number)]} occurs "
                f"{times.max()} times; keep one"
            )
    return Comparisons(
        prompt_ids,
        prompt,
        preferred,
        numbers(columns, "order_flip").astype(bool) if "order_flip" in columns else None,
        *(numbers(columns, name) if name in columns else None for name in ("on_length", "off_length")),
        numbers(columns, "on_truncated").astype(bool) if "on_truncated" in columns else None,
    )
