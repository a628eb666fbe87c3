"""Files of pairs of responses with somebody's vote."""

import os
from collections.abc import Container

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines

TIE = 0
VOTES = (1, 2, TIE)


def read_votes(path: str | os.PathLike, votes: Container[int] = VOTES) -> list[dict]:
    """Read JSON Lines with prompt, response_1, response_2 and preferred.

    Args:
        path: the file.
        votes: what `preferred` may be.

    Raises:
        BadInput: a line lacks a key or holds something else in it; the sentence names the pair.
    """
    allowed = "1 or 2" if TIE not in votes else f"1, 2, or {TIE} for a tie"
    rows = read_json_lines(path)
    for number, row in enumerate(rows, start=1):
        for name in ("prompt", "response_1", "response_2"):
            if not isinstance(row.get(name), str):
                raise BadInput(f"{path}, pair {number}: {name} should be text, found {row.get(name)!r:.40}")
        if row.get("preferred") not in votes or isinstance(row["preferred"], bool):
            raise BadInput(f"{path}, pair {number}: preferred should be {allowed}, found {row.get('preferred')!r:.40}")
    if not rows:
        raise BadInput(f"{path} has no pairs")
    return rows


def only_ties(files: str) -> BadInput:
    """What is said where every vote is a tie."""
    return BadInput(f"{files}: every vote is a tie; bring pairs of which people prefer one response")
