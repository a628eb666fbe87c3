"""Votes from responses of both sources and a judge of yours: what `measure_boundary` measures."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np

from dpo_boundary.errors import BadInput

Judge: TypeAlias = Callable[[str, str, str], float]
"""(prompt, response_1, response_2): the probability that the first response is the better one; True is 1, False 0, a tie 0.5."""

BatchJudge: TypeAlias = Callable[[list[str], list[str], list[str]], Sequence[float]]
"""The same of several at once: three lists of one length, and as many probabilities."""

Votes: TypeAlias = dict[str, list]
"""Columns by name: prompt_id, on_index, off_index, on_policy_preferred, order_flip (where both orders were asked), on_length and
off_length in characters; one element a comparison."""

Question: TypeAlias = tuple[str, str, str]
Responses: TypeAlias = Sequence[str | Sequence[str]]


def compare(
    prompts: Sequence[str],
    own: Responses,
    other: Responses,
    judge: Judge | BatchJudge,
    *,
    orders: int = 2,
    prompt_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Votes:
    """Compare each response of the policy with each one of the other source, prompt by prompt.

    A judge may like what stands first. So it is asked twice, with the policy's response first and second, and the mean of both
    decides: above 0.5 a vote for the policy, below it one for the other, exactly 0.5 a tie. Two equal responses are a tie that
    nobody is asked about.

    Args:
        prompts: what was asked.
        own: for each prompt the policy's response, or a list of several.
        other: the same of the source that it is compared with.
        judge: says of a prompt and two responses how probably the first is the better one.
        orders: 2; or 1 for a judge that is dear: then the policy's response stands first in every other question.
        prompt_ids: names of the prompts; without them their positions, from 0.
        batch_size: questions that `judge` is given at once, as three lists; without it, it is given one.
        progress: called with the number of questions that are answered, and of all.

    Returns:
        The votes, for `measure_boundary`.

    Raises:
        BadInput: there is not a response of either source for each prompt, or the judge gave no probability.

    Whatever is raised while the judge is asked has, as its attribute `votes`, those of the prompts that it was done with.
    """
    if orders not in (1, 2):
        raise BadInput(f"orders is {orders!r}; a judge is asked in 1 or 2 orders of presentation")
    if batch_size is not None and batch_size < 1:
        raise BadInput(f"batch_size is {batch_size}; give at least 1, or None for a judge of one question")
    ids = [str(name) for name in (range(len(prompts)) if prompt_ids is None else prompt_ids)]
    if len({*ids}) < len(ids):
        raise BadInput("prompt_ids has a name twice; each prompt needs its own")
    sides = [_responses(name, given, ids) for name, given in (("own", own), ("other", other))]
    if len(prompts) != len(ids) or not ids:
        raise BadInput(f"there are {len(prompts)} prompts and {len(ids)} prompt_ids; give as many, and at least one")
    pairs = [
        (prompt_id, prompt, on, off, mine, others)
        for prompt_id, prompt, *both in zip(ids, prompts, *sides, strict=True)
        for on, mine in enumerate(both[0], 1)
        for off, others in enumerate(both[1], 1)
    ]
    questions: list[Question] = []
    for number, (_, prompt, _, _, mine, others) in enumerate(pairs):
        asked = [(prompt, mine, others), (prompt, others, mine)]
        questions += [] if mine == others else asked if orders == 2 else [asked[number % 2]]
    answers: list[float] = []
    try:
        for said in _ask(judge, questions, batch_size):
            answers += said
            if progress:
                progress(len(answers), len(questions))
    except BaseException as error:
        error.votes = _votes(pairs, answers, orders)  # type: ignore[attr-defined]
        raise
    return _votes(pairs, answers, orders)


def _responses(name: str, given: Responses, ids: Sequence[str]) -> list[list[str]]:
    """The responses of one source, a list for each prompt."""
    if isinstance(given, str) or len(given) != len(ids):
        found = "a text" if isinstance(given, str) else f"{len(given)} elements"
        raise BadInput(
            f"{name} is {found}, and there are {len(ids)} prompts; give a response, or a list of them, for each"
        )
    listed = [[one] if isinstance(one, str) else list(one) for one in given]
    for prompt_id, texts in zip(ids, listed, strict=True):
        if not texts or not all(isinstance(text, str) for text in texts):
            raise BadInput(
                f"{name} has for prompt {prompt_id} what is neither a text nor a list of texts; give at least one"
            )
    return listed


def _ask(judge: Judge | BatchJudge, questions: Iterable[Question], batch_size: int | None) -> Iterable[list[float]]:
    """What the judge says, batch after batch."""
    waiting = iter(questions)
    while batch := list(islice(waiting, batch_size or 1)):
        said = judge(*batch[0]) if batch_size is None else judge(*map(list, zip(*batch, strict=True)))
        given = [said] if batch_size is None else list(said)
        if len(given) != len(batch):
            raise BadInput(
                f"the judge gave {len(given)} answers to {len(batch)} questions; it has to give one for each"
            )
        yield [_probability(one) for one in given]


def _probability(said: object) -> float:
    try:
        value = np.nan if isinstance(said, str) else float(said)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        value = np.nan
    if not 0 <= value <= 1:
        raise BadInput(
            f"the judge said {said!r}; it has to give the probability that the first response is the better one, from 0 to 1 "
            "(True or 1 for the first, False or 0 for the second, 0.5 for a tie)"
        )
    return value


def _votes(pairs: Sequence[tuple], answers: Sequence[float], orders: int) -> Votes:
    """The votes of the prompts before the first one that lacks an answer."""
    columns = ("prompt_id", "on_index", "off_index", "on_policy_preferred", "order_flip", "on_length", "off_length")
    rows, waiting = [], iter(answers)
    for number, (prompt_id, _, on, off, mine, others) in enumerate(pairs):
        first = second = 0.5
        if mine != others:
            given = list(islice(waiting, orders))
            if len(given) < orders:
                rows = [row for row in rows if row[0] != prompt_id]
                break
            first, second = given if orders == 2 else (given[0], 0.5) if number % 2 == 0 else (0.5, given[0])
        preferred = 0.5 + (float(first > second) - float(first < second)) / 2
        flip = (first - 0.5) * (second - 0.5) > 0
        rows.append((prompt_id, on, off, preferred, flip, len(mine), len(others)))
    votes = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
    if orders == 1:
        del votes["order_flip"]  # nobody knows
    return votes
