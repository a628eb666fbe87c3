"""The tiny world of the demo: a field guide to invented animals, and what can be asked about them.

There are 12 animals. Each has one true value in each of six categories (its colour, its home, its food, ...), drawn
from the world's seed. Instructions ask for a description, a list of facts, the answer to a question, the check of a
claim or a comparison. Responders of several qualities answer in plain sentences, and some pad them.

Nothing that learns ever sees the hidden quality itself: responders' scores and the labels for the preference model are
noisy versions of it, and the judge of the evaluation likes length besides. It is read off the text (see `quality.assess`),
so that it holds for whatever a policy may write.

Without state: every function that draws takes the generator to draw from.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path
from random import Random

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json

Facts = Mapping[str, Mapping[str, str]]
"""The truth: animal -> category -> value."""


@dataclass(frozen=True)
class Category:
    """One thing that can be said about an animal.

    Attributes:
        values: what it can be; no value belongs to two categories.
        predicates: ways of stating it, with `{value}`; each completes "the murrow ...".
        questions: ways of asking for it, with `{animal}`.
        claim: the question whether a value is the true one, with `{animal}` and `{value}`.
    """

    values: tuple[str, ...]
    predicates: tuple[str, ...]
    questions: tuple[str, ...]
    claim: str


CATEGORIES: dict[str, Category] = {
    "colour": Category(
        ("red", "blue", "green", "grey", "golden", "black", "white", "purple"),
        ("is {value}", "has {value} fur"),
        ("What colour is the {animal}?", "Which colour does the {animal} have?"),
        "Is the {animal} {value}?",
    ),
    "home": Category(
        ("caves", "marshes", "forests", "rivers", "deserts", "meadows", "cliffs", "gardens"),
        ("lives in {value}", "makes its home in {value}"),
        ("Where does the {animal} live?", "Where can I find the {animal}?"),
        "Does the {animal} live in {value}?",
    ),
    "food": Category(
        ("moss", "seeds", "beetles", "honey", "roots", "berries", "mushrooms", "fish"),
        ("eats {value}", "feeds on {value}"),
        ("What does the {animal} eat?", "What should I feed the {animal}?"),
        "Does the {animal} eat {value}?",
    ),
    "skill": Category(
        ("swim", "dig", "climb", "glide", "jump", "dive", "dance", "hide"),
        ("can {value}", "likes to {value}"),
        ("What can the {animal} do?", "What does the {animal} like to do?"),
        "Can the {animal} {value}?",
    ),
    "fear": Category(
        ("owls", "snakes", "thunder", "fire", "foxes", "wolves", "frost", "eagles"),
        ("fears {value}", "is afraid of {value}"),
        ("What is the {animal} afraid of?", "What does the {animal} fear?"),
        "Is the {animal} afraid of {value}?",
    ),
    "call": Category(
        ("bell", "drum", "flute", "whistle", "horn", "kettle", "fiddle", "rattle"),
        ("sounds like a {value}", "calls like a {value}"),
        ("What does the {animal} sound like?", "How does the {animal} call?"),
        "Does the {animal} sound like a {value}?",
    ),
}

ANIMALS = (
    "murrow", "tarsel", "velm", "dorrin", "pibble", "kessle", "glim", "harrot", "wossel", "nurrin", "fenlop", "zindle",
)  # fmt: skip

KINDS = ("describe", "list", "ask", "check", "compare")
"""Kinds of instruction; the shares in which a data set draws them are `SHARES`."""

SHARES = {"describe": 0.2, "list": 0.2, "ask": 0.25, "check": 0.15, "compare": 0.2}

OPENINGS = (
    "", "Please help me. ", "I am curious. ", "A question for you. ", "This is for school. ",
    "Hello. ", "I have a question. ", "Be quick. ", "You know animals well. ", "Good morning. ",
    "I wonder. ", "Good evening. ", "One more thing. ", "My friend asks. ",
)  # fmt: skip
"""What may come before any instruction."""

PADDING = (
    "Let me see.", "I am glad that you ask.", "That is a good question.", "Here is what I can say.",
    "There is much to tell about this animal.", "I hope that this helps you a little.", "Feel free to ask for more.",
    "All of this is well known.", "Thank you for your interest in the animals of this land.", "Many people wonder about this.",
)  # fmt: skip
"""Sentences that may stand anywhere between others and say nothing; the hidden quality does not see them."""

BODIES: dict[str, tuple[str, ...]] = {
    "describe": (
        "Tell me about the {animal}.",
        "Describe the {animal}.",
        "What kind of animal is the {animal}?",
        "What should I know about the {animal}?",
        "Write a short note about the {animal}.",
        "I saw the {animal} today. What is it like?",
    ),
    "list": (
        "List some facts about the {animal}.",
        "Name a few true things about the {animal}.",
        "Which facts do you know about the {animal}?",
        "Give me a list of facts about the {animal}.",
        "Make a list: what is true of the {animal}?",
    ),
    "ask": tuple(question for category in CATEGORIES.values() for question in category.questions),
    "check": tuple(f"{category.claim} Give a reason." for category in CATEGORIES.values()),
    "compare": (
        "Compare the {animal} and the {other}.",
        "How do the {animal} and the {other} differ?",
        "What sets the {animal} apart from the {other}?",
    ),
}
"""Phrasings of an instruction, by kind: an opening and a body. Splits are random over (animal, phrasing)."""


@dataclass(frozen=True)
class Request:
    """What an instruction asks for.

    Attributes:
        kind: one of `KINDS`.
        animals: the one it asks about, or the two to compare.
        category: what `ask` and `check` ask for, else None.
        claim: the value that `check` asks about, else None.
    """

    kind: str
    animals: tuple[str, ...]
    category: str | None = None
    claim: str | None = None


def draw_facts(random: Random) -> dict[str, dict[str, str]]:
    """Draw the truth: one value for each animal and category, every value as often as any other."""
    facts: dict[str, dict[str, str]] = {animal: {} for animal in ANIMALS}
    for name, category in CATEGORIES.items():
        copies = math.ceil(len(ANIMALS) / len(category.values))
        values = list(category.values) * copies
        random.shuffle(values)
        for animal, value in zip(ANIMALS, values, strict=False):
            facts[animal][name] = value
    return facts


def read_facts(path: Path) -> Facts:
    """Read `facts.json` of make_demo_world.py.

    Raises:
        BadInput: it is not a whole truth of this world: an animal or a category is missing, or a value is none of them.
    """
    facts = read_json(path)
    for animal in ANIMALS:
        known = facts.get(animal) if isinstance(facts, dict) else None
        if not isinstance(known, dict):
            raise BadInput(f"{path} says nothing about the animal {animal!r}; make it with make_demo_world.py")
        for name, category in CATEGORIES.items():
            if known.get(name) not in category.values:
                raise BadInput(
                    f"{path} has no {name} of this world for the animal {animal!r}; make it with make_demo_world.py"
                )
    return facts


# ---------------------------------------------------------------------------------------------------------------------
# Instructions


def instructions(kind: str, facts: Facts, random: Random) -> list[str]:
    """Every instruction of one kind in a fixed order; of the possible claims to check, a true and a false one each.

    Args:
        kind: one of `KINDS`.
        facts: the truth, which decides what claims are true.
        random: draws the false claims.
    """
    texts = []
    for opening in OPENINGS:
        for body in BODIES[kind]:
            if kind == "compare":
                texts += [opening + body.format(animal=a, other=b) for a, b in permutations(ANIMALS, 2)]
            elif kind == "check":
                name = _category_of_claim(body)
                for animal in ANIMALS:
                    truth = facts[animal][name]
                    for value in (truth, other_value(name, truth, random)):
                        texts.append(opening + body.format(animal=animal, value=value))
            else:
                texts += [opening + body.format(animal=animal) for animal in ANIMALS]
    return texts


def draw_instructions(facts: Facts, number: int, random: Random) -> list[str]:
    """Draw `number` different instructions in random order, kinds in the shares of `SHARES`.

    Any cut of the result is therefore a random split over (animal, phrasing).

    Raises:
        ValueError: the world has fewer instructions of some kind than that takes.
    """
    drawn: list[str] = []
    for position, kind in enumerate(KINDS):
        pool = instructions(kind, facts, random)
        shares_left = sum(SHARES[later] for later in KINDS[position:])
        take = round((number - len(drawn)) * SHARES[kind] / shares_left)
        if take > len(pool):
            raise ValueError(f"{number} instructions take {take} of the kind {kind!r}, and there are {len(pool)}")
        drawn += random.sample(pool, take)
    random.shuffle(drawn)
    return drawn


@cache
def _instruction_patterns() -> list[tuple[str, str | None, re.Pattern]]:
    """(kind, category, pattern) of every body; a pattern takes a whole instruction apart."""
    openings = "|".join(re.escape(opening) for opening in OPENINGS)
    animal = "|".join(ANIMALS)
    patterns = []
    for kind, bodies in BODIES.items():
        for body in bodies:
            category = _category_of_claim(body) if kind == "check" else _category_of_question(body)
            values = "|".join(CATEGORIES[category].values) if kind == "check" else ""
            pattern = re.escape(body)
            for field, choices in (("animal", animal), ("other", animal), ("value", values)):
                pattern = pattern.replace(rf"\{{{field}\}}", f"(?P<{field}>{choices})")
            patterns.append((kind, category, re.compile(f"(?:{openings}){pattern}")))
    return patterns


@cache
def read_instruction(text: str) -> Request:
    """Take an instruction apart.

    Raises:
        ValueError: it is not an instruction of this world.
    """
    for kind, category, pattern in _instruction_patterns():
        match = pattern.fullmatch(text.strip())
        if match:
            found = match.groupdict()
            animals = (found["animal"], found["other"]) if kind == "compare" else (found["animal"],)
            return Request(kind, animals, category, found.get("value"))
    raise ValueError(f"not an instruction of the demo's world: {text[:100]!r}")


def _category_of_claim(body: str) -> str:
    return next(name for name, category in CATEGORIES.items() if body.startswith(category.claim))


def _category_of_question(body: str) -> str | None:
    return next((name for name, category in CATEGORIES.items() if body in category.questions), None)


def other_value(category: str, value: str, random: Random) -> str:
    return random.choice([other for other in CATEGORIES[category].values if other != value])
