"""The hidden quality function of the demo's world: what a response says, whether it is true, and how well it is said."""

import math
import re
from dataclasses import dataclass
from functools import cache

from dpo_stages.demo.world import ANIMALS, CATEGORIES, Facts, Request, read_instruction

WORDS_WELCOME = {"describe": 28, "list": 28, "ask": 20, "check": 20, "compare": 32}
"""Length in words up to which a response to each kind of instruction is not too long."""


WEIGHTS = {
    "right": 1.0,
    "wrong": -1.0,
    "repeated": -0.5,
    "off_subject": -1.0,
    "answered": 2.0,
    "stray_words": -0.1,
    "words_too_many": -0.1,
    "unfinished": -1.0,
}
"""Hidden quality is the sum of these weights times the components of an `Assessment`."""


_PLAIN_WORDS = frozenset({"a", "also", "and", "but", "it", "no", "the", "while", "yes"})


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
        stray_words: words that belong to no statement and are neither an animal nor a word that joins statements.
        words_too_many: words beyond `WORDS_WELCOME`.
        unfinished: 1 if the response does not end with a full stop, else 0.
    """

    right: int
    wrong: int
    repeated: int
    off_subject: int
    answered: float
    stray_words: int
    words_too_many: int
    unfinished: int

    @property
    def quality(self) -> float:
        """The hidden quality: the weighted sum of the components."""
        return sum(weight * getattr(self, name) for name, weight in WEIGHTS.items())


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
    statements = []
    for match in statement_pattern().finditer(response):
        group, value = match.lastgroup, match[match.lastgroup].lower()
        if group == "animal":
            subject = value
        else:
            statements.append(Statement(subject, group.rpartition("_")[0], value))
    left = statement_pattern().sub(" ", response).lower()
    return statements, sum(word not in _PLAIN_WORDS for word in re.findall(r"[^\W_]+", left))


def assess(facts: Facts, instruction: str, response: str) -> Assessment:
    """Read the components of the hidden quality off a response.

    `answered` is, by kind of instruction: `describe` and `list`: 1 if anything true is said of the animal; `ask`: 1 if
    the value asked for is given and no wrong one; `check`: half for opening with the right yes or no, half as `ask`;
    `compare`: half for each category, at most two, in which both animals' true values are given.

    Args:
        facts: the truth.
        instruction: an instruction of this world.
        response: any text.

    Raises:
        ValueError: the instruction is not one of this world.
    """
    request = read_instruction(instruction)
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
        words_too_many=max(0, len(response.split()) - WORDS_WELCOME[request.kind]),
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


JUDGE_TEMPERATURE = 1.0
"""Temperature of the judge of the evaluation, in units of quality."""


def preference_probability(better_by: float, temperature: float) -> float:
    """Bradley-Terry: probability that a response is preferred whose quality is higher by `better_by`."""
    return 0.5 * (1.0 + math.tanh(0.5 * better_by / temperature))
