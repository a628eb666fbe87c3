"""JSON records of policies, such as win rates: found by policy, held to belong together, and their judge named."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.judges.record import describe_judge
from dpo_stages.study.policies import Policy

JUDGE_COLUMNS = {"judge": "model", "judge_version": "version", "judge_prompt": "prompt", "judge_endpoint": "endpoint"}
"""The columns of a table that name its judge, and what they hold of record.judge_record."""


def by_policy(records: Iterable[tuple[Path, dict]], what: str) -> dict[str, dict]:
    """Index JSON records by their `policy`.

    Args:
        records: each with the file that it was read from.
        what: "win rate" or the like, for messages.

    Raises:
        BadInput: a record has no policy, or two have the same.
    """
    found: dict[str, tuple[Path, dict]] = {}
    for path, record in records:
        if not isinstance(record, dict) or not isinstance(record.get("policy"), str):
            raise BadInput(f"{path} holds no {what}: it has no 'policy'")
        policy = str(Policy.parse(record["policy"]))
        if policy in found:
            raise BadInput(f"{found[policy][0]} and {path} are both the {what} of {policy}; give one of them")
        found[policy] = path, {**record, "file": str(path)}
    return {policy: record for policy, (_, record) in found.items()}


def find(records: Mapping[str, dict], policy: Policy, what: str) -> dict:
    if str(policy) not in records:
        raise BadInput(f"the {what} of {policy} is missing; give its file too")
    return records[str(policy)]


def require_same(records: Mapping[str, dict], keys: Sequence[str], what: str) -> None:
    """Make sure that results relative to different things never meet in one table.

    Args:
        records: as `by_policy` gives them.
        keys: what has to be the same in all of them.
        what: "win rates" or the like, for messages.

    Raises:
        BadInput: two records differ in one of the keys.
    """
    for key in keys:
        seen: dict[str, dict] = {}
        for record in records.values():
            seen.setdefault(_words(record.get(key)), record)
        if len(seen) > 1:
            (one, first), (other, second), *_ = seen.items()
            raise BadInput(
                f"{what} with another {key.replace('_', ' ')} cannot stand in one table: "
                f"{first['file']} has {one}, {second['file']} has {other}"
            )


def _words(value: object) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)


def number(record: dict, key: str) -> float:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"{record['file']}: {key} is {value!r}; a number is needed, so make the file again")
    return value


def judge_columns(judge: dict[str, str] | None) -> dict[str, str | None]:
    """The columns of a table that name its judge; None where nobody knows."""
    return {column: judge and judge[name] for column, name in JUDGE_COLUMNS.items()}


def judge_of(row: Mapping[str, str | None]) -> str:
    """The judge of a row in words; an empty name is none."""
    judge = {name: row[column] for column, name in JUDGE_COLUMNS.items()}
    return describe_judge(judge if judge["model"] else None)


def one_judge(rows: Iterable[Mapping[str, str | None]]) -> str:
    """The judge of all rows in words.

    Raises:
        BadInput: they have different judges.
    """
    judges = sorted({judge_of(row) for row in rows})
    if len(judges) > 1:
        raise BadInput(f"results of different judges cannot be shown together: {'; '.join(judges)}")
    return judges[0]
