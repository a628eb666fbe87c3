"""Candidates from files: those of data sets and those that were sampled, each with what its source knows of them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpo_stages.data.thoughts import whole

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Candidate:
    """A response to a prompt; None: nobody knows, as of data sets.

    Attributes:
        text: as it was written.
        truncated: it was cut at max_new_tokens.
        ids: the tokens that were sampled.
        vocabulary: whose tokens they are.
        opens_thought: it goes on with a thought that the rendered prompt has begun.
        own_score: the data set's own, higher is better.
        sampled: by a policy; else it comes from a data set.
    """

    text: str
    truncated: bool | None = None
    ids: Sequence[int] | None = None
    vocabulary: str | None = None
    opens_thought: bool | None = None
    own_score: float | None = None
    sampled: bool = False

    @property
    def whole(self) -> str:
        """The text with the beginning of its thought where the prompt has opened it."""
        return whole(self.text, self.opens_thought)


@dataclass(frozen=True)
class Group:
    """A prompt with its candidates, two or more, in the order of their numbers."""

    prompt_id: str
    prompt: list[dict[str, str]]
    candidates: tuple[Candidate, ...]


def read_groups(path: str | os.PathLike) -> list[Group]:
    """Read all candidates of every prompt.

    Args:
        path: any of the tables of candidates in `schemas`: with two a prompt, or groups.

    Raises:
        BadInput: the file is no such table, or a group has no two candidates or lists of different lengths.
    """
    if _holds_groups(path):
        return _groups(path)
    return [
        Group(row["prompt_id"], row["prompt"], (_candidate(row, 1), _candidate(row, 2)))
        for row in read_candidates(path).to_pylist()
    ]


def read_candidates(path: str | os.PathLike) -> "pa.Table":
    """Read two candidates a prompt: the first two where there are more.

    Args:
        path: `schemas.OFF_POLICY_CANDIDATES`, `schemas.SAMPLED_CANDIDATES`, groups of either, or a Parquet file with the
            columns of `schemas.CANDIDATES` that may not be null.

    Returns:
        `schemas.CANDIDATES`; a column that the file has not is null.

    Raises:
        BadInput: the file is not such a table.
    """
    import pyarrow as pa

    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import CANDIDATES

    if _holds_groups(path):
        rows = [
            {"prompt_id": group.prompt_id, "prompt": group.prompt, **pair_of(group, 0, 1)} for group in _groups(path)
        ]
        return pa.Table.from_pylist(rows, schema=CANDIDATES)
    return read_table(path, CANDIDATES, lacking=[field.name for field in CANDIDATES if field.nullable])


def pair_of(group: Group, first: int, second: int) -> dict:
    """Two candidates of a group, by their positions, as a row of `schemas.CANDIDATES`."""
    one, two = group.candidates[first], group.candidates[second]
    scores = one.own_score, two.own_score
    decided = None not in scores and scores[0] != scores[1]
    return {
        "prompt_id": group.prompt_id,
        "prompt": group.prompt,
        "response_1": one.text,
        "response_2": two.text,
        "truncated_1": one.truncated,
        "truncated_2": two.truncated,
        "ids_1": one.ids,
        "ids_2": two.ids,
        "vocabulary": one.vocabulary or two.vocabulary,
        "opens_thought": one.opens_thought if one.opens_thought is not None else two.opens_thought,
        "original_preference": (1 if scores[0] > scores[1] else 2) if decided else None,
    }


def pooled(own: Sequence[Group], others: Sequence[Group]) -> list[Group]:
    """Groups of two tables in one: the candidates of a prompt in `own`, then those of the same prompt in `others`.

    Prompts of one table alone keep their candidates and stand behind the others where they are not in `own`.
    """
    nothing = Group("", [], ())
    theirs = {group.prompt_id: group for group in others}
    both = [
        Group(group.prompt_id, group.prompt, (*group.candidates, *theirs.pop(group.prompt_id, nothing).candidates))
        for group in own
    ]
    return [*both, *theirs.values()]


def truncated_responses(cut: Iterable[bool | None]) -> dict[str, int]:
    """How many responses were cut when they were sampled, for a ledger; nothing where nobody knows."""
    known = [flag for flag in cut if flag is not None]
    return {"truncated_responses": sum(known)} if known else {}


def _holds_groups(path: str | os.PathLike) -> bool:
    from dpo_stages.core.parquet import read_schema

    return "responses" in read_schema(path).names


def _candidate(row: Mapping, number: int) -> Candidate:
    """One of the two of a row of `schemas.CANDIDATES`."""
    preferred = row["original_preference"]
    return Candidate(
        row[f"response_{number}"],
        row[f"truncated_{number}"],
        row[f"ids_{number}"],
        row["vocabulary"],
        row["opens_thought"],
        None if preferred is None else float(preferred == number),
        row["truncated_1"] is not None,
    )


def _groups(path: str | os.PathLike) -> list[Group]:
    from dpo_stages.core.errors import BadInput
    from dpo_stages.core.parquet import read_schema, read_table
    from dpo_stages.data.schemas import OFF_POLICY_GROUPS, SAMPLED_GROUPS

    sampled = "truncated" in read_schema(path).names
    lists = ("truncated", "ids") if sampled else ("original_scores",)
    groups = []
    for row in read_table(path, SAMPLED_GROUPS if sampled else OFF_POLICY_GROUPS).to_pylist():
        texts = row["responses"]
        columns = [row[name] if row[name] is not None else [None] * len(texts) for name in lists]
        if len(texts) < 2 or None in texts or any(len(column) != len(texts) for column in columns):
            raise BadInput(
                f"{path}: the prompt {row['prompt_id']} needs two responses or more, each with its {' and '.join(lists)}"
            )
        if sampled:
            about = (row["vocabulary"], row["opens_thought"])
            candidates = [Candidate(*one, *about, sampled=True) for one in zip(texts, *columns, strict=True)]
        else:
            candidates = [Candidate(text, own_score=score) for text, score in zip(texts, *columns, strict=True)]
        groups.append(Group(row["prompt_id"], row["prompt"], tuple(candidates)))
    return groups
