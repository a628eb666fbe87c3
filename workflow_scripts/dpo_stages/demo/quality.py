"""The hidden quality function of the demo's world: what a response says, whether it is true, and how well it is said."""

import math
import re
from dataclasses import dataclass
from functools import cache

from dpo_stages.demo.world import ANIMALS, CATEGORIES, PADDING, Facts, Request, read_instruction

STATEMENTS_WELCOME = {"describe": 6, "list": 6, "ask": 4, "check": 4, "compare": 8}
"""Statements up to which a response to each kind of instruction does not say too much."""


WEIGHTS = {
    "right": 1.0,
    "wrong": -1.0,
    "repeated": -1.0,
    "off_subject": -1.0,
    "answered": 2.0,
    "stray_words": -0.1,
    "statements_too_many": -0.5,
    "unfinished": -1.0,
}
"""Hidden quality is the sum of these weights times the components of an `Assessment`.

It hangs on what is said alone: the same facts in more words or in fewer, with padding or without, are as good.
"""


_PLAIN_WORDS = frozenset({"a", "also", "and", "but", "it", "no", "the", "while", "yes"})
_PLAIN_WORDS_A_STATEMENT = 4  # "No, the", an animal, "it"


_PADDING = re.compile("|".join(map(re.escape, PADDING)), re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """A predicate found in a response: `subject` is the animal that it is said of."""

    subject: str
    category: str
    value: str


@dataclass(frozen=True)
class Assessment:
    """Components of the hidden quality of one response; counts, except `answered` in [0, 1].

    Attributes:
        right: different true statements about the animals asked for.
        wrong: different false statements about them.
        repeated: statements made before, true or not.
        off_subject: different statements about any other animal.
        answered: share of the request itself that is met, see `assess`.
        stray_words: words that belong to no statement and are neither an animal nor a word that joins statements; of
            those two, more than four a statement.
        statements_too_many: statements beyond `STATEMENTS_WELCOME`.
        unfinished: 1 if the response does not end with a full stop, else 0.
    """

    right: int
    wrong: int
    repeated: int
    off_subject: int
    answered: float
    stray_words: int
    statements_too_many: int
    unfinished: int

    @property
    def quality(self) -> float:
        """The hidden quality: the weighted sum of the components."""
        return sum(weight * getattr(self, name) for name, weight in WEIGHTS.items())


def without_padding(response: str) -> str:
    """The response without the sentences of `PADDING`."""
    return " ".join(_PADDING.sub(" ", response).split())


@cache
def statement_pattern() -> re.Pattern:
    """Finds animals (group `animal`) and predicates (one group a category and predicate, holding the value)."""
    alternatives = [rf"(?P<animal>{'|'.join(ANIMALS)})"]
    for name, category in CATEGORIES.items():
        for number, predicate in enumerate(category.predicates):
            values = f"(?P<{name}_{number}>{'|'.join(category.values)})"
            alternatives.append(re.escape(predicate).replace(r"\{value\}", values))
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b", re.IGNORECASE)


def _read(response: str, subject: str) -> tuple[list[Statement], int]:
    """Statements of a response in order, and the number of its words that are stray.

    Each statement is about the animal named last before it; before any is named, about `subject`.
    """
    statements, plain = [], 0
    for match in statement_pattern().finditer(response):
        group, value = match.lastgroup, match[match.lastgroup].lower()
        if group == "animal":
            subject = value
            plain += 1
        else:
            statements.append(Statement(subject, group.rpartition("_")[0], value))
    left = re.findall(r"[^\W_]+", statement_pattern().sub(" ", response).lower())
    stray = sum(word not in _PLAIN_WORDS for word in left)
    plain += len(left) - stray
    return statements, stray + max(0, plain - _PLAIN_WORDS_A_STATEMENT * max(1, len(statements)))


def assess(facts: Facts, instruction: str, response: str) -> Assessment:
    """Read the components of the hidden quality off a response.

    `answered` is, by kind of instruction: `describe` and `list`: 1 if anything true is said of the animal; `ask`: 1 if
    the value asked for is given and no wrong one; `check`: half for opening with the right yes or no, half as `ask`;
    `compare`: half for each category, at most two, in which both animals' true values are given.

    Padding (`PADDING`) is as if it were not there.

    Args:
        facts: the truth.
        instruction: an instruction of this world.
        response: any text.

    Raises:
        ValueError: the instruction is not one of this world.
    """
    request, response = read_instruction(instruction), without_padding(response)
    statements, stray_words = _read(response, request.animals[0])
    different = set(statements)
    on_subject = {statement for statement in different if statement.subject in request.animals}
    right = {statement for statement in on_subject if facts[statement.subject][statement.category] == statement.value}
    return Assessment(
        right=len(right),
        wrong=len(on_subject) - len(right),
        repeated=len(statements) - len(different),
        off_subject=len(different) - len(on_subject),
        answered=_answered(facts, request, response, on_subject, right),
        stray_words=stray_words,
        statements_too_many=max(0, len(statements) - STATEMENTS_WELCOME[request.kind]),
        unfinished=int(not response.rstrip().endswith(".")),
    )


def _answered(
    facts: Facts, request: Request, response: str, on_subject: set[Statement], right: set[Statement]
) -> float:
    if request.kind == "compare":
        told = {(statement.subject, statement.category) for statement in right}
        both = sum(all((animal, name) in told for animal in request.animals) for name in CATEGORIES)
        return min(1.0, both / 2)
    if request.category is None:
        return float(bool(right))
    values = {statement.value for statement in on_subject if statement.category == request.category}
    truth = facts[request.animals[0]][request.category]
    given = float(values == {truth})
    if request.kind == "ask":
        return given
    verdict = "yes" if request.claim == truth else "no"
    opened = re.match(r"\W*(yes|no)\b", response, re.IGNORECASE)
    return 0.5 * given + 0.5 * (opened is not None and opened[1].lower() == verdict)


def quality(facts: Facts, instruction: str, response: str) -> float:
    """The hidden quality of a response; a good answer has about 6, an empty one -1."""
    return assess(facts, instruction, response).quality


SCORE_NOISE = 1.0
"""Standard deviation of the scores of the off-policy candidates about the hidden quality."""


LABEL_TEMPERATURE = 0.5
"""Temperature of the labels that the preference model learns from, in units of quality: nine in ten are right."""


JUDGE_TEMPERATURE = 3.0
"""Temperature of the judge of the evaluation, in units of quality.

A judge so undecided that verdicts are means of many: where single ones are nearly certain, a length bias moves the mean of
verdicts less than their log-odds, and less for policies than for the gamed references, whose quality is the reference's.
Length control knows one size of the bias for both, and would take out too much.
"""


LENGTH_BIAS, LENGTH_SCALE = 0.85, 60.0
"""The judge's liking for length: log-odds where it is fully felt, and the difference in characters that it saturates over.

Its form is the one that AlpacaEval's length control takes out (Dubois et al., 2024), its size that of GPT-4 Turbo: a
version of the reference that is longer and no better wins 64.3 % against it (df_gamed.csv of AlpacaEval's authors).
"""


def length_bias(longer_by: int) -> float:
    """Log-odds that the judge adds for a response that is longer than the other by so many characters."""
    return LENGTH_BIAS * math.tanh(longer_by / LENGTH_SCALE)


def preference_probability(better_by: float, temperature: float) -> float:
    """Bradley-Terry: probability that a response is preferred whose quality is higher by `better_by`."""
    return 0.5 * (1.0 + math.tanh(0.5 * better_by / temperature))
