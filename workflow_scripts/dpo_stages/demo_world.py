"""The tiny world of the demo: a field guide to invented animals, and the hidden quality of what is said about them.

There are 12 animals. Each has one true value in each of six categories (its colour, its home, its food, ...), drawn
from the world's seed. Instructions ask for a description, a list of facts, the answer to a question, the check of a
claim or a comparison. Responders of several qualities answer in plain sentences.

Nothing that learns ever sees the quality itself: responders' scores and the labels for the preference model are noisy
versions of it, and the judge of the evaluation answers with it. It is read off the text (see `assess`), so that it
holds for whatever a policy may write.

Standard library only and without state: every function that draws takes the generator to draw from.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from random import Random

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
)  # fmt: skip
"""What may come before any instruction."""

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


def check_facts(facts: object) -> Facts:
    """Return `facts` if it is a whole truth of this world.

    Raises:
        ValueError: an animal or a category is missing, or a value is not one of its category's.
    """
    for animal in ANIMALS:
        known = facts.get(animal) if isinstance(facts, dict) else None
        if not isinstance(known, dict):
            raise ValueError(f"says nothing about the animal {animal!r}")
        for name, category in CATEGORIES.items():
            if known.get(name) not in category.values:
                raise ValueError(f"has no {name} of this world for the animal {animal!r}")
    return facts  # type: ignore[return-value]


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
                    for value in (truth, _other_value(name, truth, random)):
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


def _other_value(category: str, value: str, random: Random) -> str:
    return random.choice([other for other in CATEGORIES[category].values if other != value])


# ---------------------------------------------------------------------------------------------------------------------
# Hidden quality

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
def _statement_pattern() -> re.Pattern:
    """Finds animals (group `animal`) and predicates (one group a category and predicate, holding the value)."""
    alternatives = [rf"(?P<animal>{'|'.join(ANIMALS)})"]
    for name, category in CATEGORIES.items():
        for number, predicate in enumerate(category.predicates):
            values = f"(?P<{name}_{number}>{'|'.join(category.values)})"
            alternatives.append(re.escape(predicate).replace(r"\{value\}", values))
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b", re.IGNORECASE)


def _read(response: str, subject: str) -> tuple[list[Statement], int]:
    """Statements of a response in order, and the number of its words that are stray."""
    statements = []
    for match in _statement_pattern().finditer(response):
        group, value = match.lastgroup, match[match.lastgroup].lower()
        if group == "animal":
            subject = value
        else:
            statements.append(Statement(subject, group.rpartition("_")[0], value))
    left = _statement_pattern().sub(" ", response).lower()
    return statements, sum(word not in _PLAIN_WORDS for word in re.findall(r"[^\W_]+", left))


def read_statements(response: str, request: Request) -> list[Statement]:
    """Statements of a response in order; each is about the animal named last before it.

    Before any animal is named, a statement is about the first animal of the request.
    """
    return _read(response, request.animals[0])[0]


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


# ---------------------------------------------------------------------------------------------------------------------
# Responders


@dataclass(frozen=True)
class Responder:
    """A writer of a certain quality.

    Attributes:
        name: who it is, kept with every response.
        accuracy: probability that a statement is true.
        statements: how many statements a response makes, give or take one.
        slips: probability of each of these: a statement is made twice, one is about another animal, the end is missing.
    """

    name: str
    accuracy: float
    statements: int
    slips: float

    def write(self, facts: Facts, instruction: str, random: Random) -> str:
        """Answer an instruction of this world."""
        request = read_instruction(instruction)
        number = max(1, self.statements + random.choice((-1, 0, 0, 1)))
        if request.kind == "compare":
            clauses = self._comparison(facts, request, max(1, round(number / 2)), random)
        else:
            clauses = self._description(facts, request, min(number, len(CATEGORIES)), random)
        if random.random() < self.slips:
            clauses.insert(random.randrange(len(clauses)) + 1, random.choice(clauses))
        if random.random() < self.slips:
            stranger = random.choice([animal for animal in ANIMALS if animal not in request.animals])
            clauses.append((stranger, self._predicate(facts, stranger, random.choice(list(CATEGORIES)), random)))
        text = {"list": _as_list, "compare": _as_comparison}.get(request.kind, _as_sentences)(clauses, random)
        if request.kind == "check":
            truth = facts[request.animals[0]][request.category]
            verdict = (request.claim == truth) == (random.random() < self.accuracy)
            text = f"{'Yes' if verdict else 'No'}, {text[0].lower()}{text[1:]}"
        return _without_end(text, random) if random.random() < self.slips else text

    def _description(self, facts: Facts, request: Request, number: int, random: Random) -> list[tuple[str, str]]:
        """Clauses (animal, predicate) about one animal, first about what was asked for."""
        asked = [request.category] if request.category else []
        others = [name for name in CATEGORIES if name not in asked]
        names = asked + random.sample(others, number - len(asked))
        return [(request.animals[0], self._predicate(facts, request.animals[0], name, random)) for name in names]

    def _comparison(self, facts: Facts, request: Request, number: int, random: Random) -> list[tuple[str, str]]:
        """Clauses (animal, predicate), two in a row for each category compared."""
        names = random.sample(list(CATEGORIES), number)
        return [(animal, self._predicate(facts, animal, name, random)) for name in names for animal in request.animals]

    def _predicate(self, facts: Facts, animal: str, name: str, random: Random) -> str:
        value = facts[animal][name]
        if random.random() >= self.accuracy:
            value = _other_value(name, value, random)
        return random.choice(CATEGORIES[name].predicates).format(value=value)


RESPONDERS = (
    Responder("novice", accuracy=0.35, statements=3, slips=0.15),
    Responder("student", accuracy=0.55, statements=3, slips=0.10),
    Responder("keeper", accuracy=0.75, statements=4, slips=0.05),
    Responder("scholar", accuracy=0.90, statements=4, slips=0.02),
)
"""Who writes the off-policy candidates."""

REFERENCE = Responder("reference", accuracy=0.92, statements=4, slips=0.02)
"""Who writes the baseline's outputs of the evaluation; good and beatable."""

VERBOSE_REFERENCE = Responder("reference_verbose", REFERENCE.accuracy, statements=6, slips=REFERENCE.slips)
CONCISE_REFERENCE = Responder("reference_concise", REFERENCE.accuracy, statements=2, slips=REFERENCE.slips)
"""The same writer told to be long and to be brief: what length alone does to the win rate."""

TEACHERS = {
    "expert": Responder("expert", accuracy=0.80, statements=4, slips=0.02),
    "fair": Responder("fair", accuracy=0.60, statements=4, slips=0.05),
    "poor": Responder("poor", accuracy=0.45, statements=3, slips=0.10),
}
"""Who writes the conversations for supervised training."""


def _as_sentences(clauses: list[tuple[str, str]], random: Random) -> str:
    """The murrow is red and eats moss. It can dig."""
    sentences, subject = [], None
    while clauses:
        animal, predicate = clauses[0]
        take = 2 if len(clauses) > 1 and clauses[1][0] == animal and random.random() < 0.5 else 1
        said = f"It {predicate}" if animal == subject else f"The {animal} {predicate}"
        sentences.append(f"{said} and {clauses[1][1]}." if take == 2 else f"{said}.")
        subject, clauses = animal, clauses[take:]
    return " ".join(sentences)


def _as_list(clauses: list[tuple[str, str]], random: Random) -> str:
    """The murrow: it is red; it eats moss; it can dig."""
    items, subject = [], clauses[0][0]
    for animal, predicate in clauses:
        items.append(f"it {predicate}" if animal == subject else f"the {animal} {predicate}")
        subject = animal
    return f"The {clauses[0][0]}: {'; '.join(items)}."


def _as_comparison(clauses: list[tuple[str, str]], random: Random) -> str:
    """The murrow is red but the tarsel is blue. The murrow eats moss while the tarsel eats seeds."""
    sentences = []
    while clauses:
        (animal, predicate), clauses = clauses[0], clauses[1:]
        sentence = f"The {animal} {predicate}"
        if clauses and clauses[0][0] != animal:
            sentence += f" {random.choice(('but', 'while'))} the {clauses[0][0]} {clauses[0][1]}"
            clauses = clauses[1:]
        sentences.append(f"{sentence}.")
    return " ".join(sentences)


# ---------------------------------------------------------------------------------------------------------------------
# Pairs for the preference model


def _without_end(text: str, random: Random) -> str:
    words = text.split()
    return " ".join(words[: random.randint(max(1, len(words) // 2), max(1, len(words) - 1))]).rstrip(".;,:")


def _with_repetition(text: str, random: Random) -> str:
    sentences = re.findall(r"[^.;]+[.;]?", text)
    position = random.randrange(len(sentences))
    times = random.randint(1, 3)
    return "".join(sentences[: position + 1] + [f" {sentences[position].strip()}"] * times + sentences[position + 1 :])


def _with_other_value(text: str, random: Random) -> str:
    matches = [match for match in _statement_pattern().finditer(text) if match.lastgroup != "animal"]
    if not matches:
        return text
    match = random.choice(matches)
    start, end = match.span(match.lastgroup)
    category = match.lastgroup.rpartition("_")[0]
    return text[:start] + _other_value(category, text[start:end].lower(), random) + text[end:]


def _about_another(text: str, random: Random) -> str:
    return re.sub("|".join(ANIMALS), random.choice(ANIMALS), text)


def _garbled(text: str, random: Random) -> str:
    words = text.split()
    for _ in range(random.randint(1, 4)):
        words[random.randrange(len(words))] = random.choice(words)
    return " ".join(words)


DEGRADATIONS = {
    "other value": _with_other_value,
    "without end": _without_end,
    "repetition": _with_repetition,
    "another animal": _about_another,
    "garbled": _garbled,
}
"""Ways in which a policy's text may be worse than a responder's; each takes a text and a generator."""


def draw_pair(facts: Facts, instruction: str, random: Random) -> tuple[str, str]:
    """Draw two responses of different quality to one instruction, such as a preference model may meet.

    Writers of any quality; in two fifths of the pairs the second response is a copy of the first with one value
    changed or another degradation, in another fifth it is a degraded response of its own.
    """
    while True:
        first, second = (_anyone(random).write(facts, instruction, random) for _ in range(2))
        form = random.random()
        if form < 0.2:
            second = _with_other_value(first, random)
        elif form < 0.4:
            second = random.choice(list(DEGRADATIONS.values()))(first, random)
        elif form < 0.6:
            second = random.choice(list(DEGRADATIONS.values()))(second, random)
        if quality(facts, instruction, first) != quality(facts, instruction, second):
            return (first, second) if random.random() < 0.5 else (second, first)


def _anyone(random: Random) -> Responder:
    return Responder("anyone", accuracy=random.uniform(0.3, 1.0), statements=random.randint(1, 6), slips=0.05)


def draw_label(facts: Facts, instruction: str, pair: tuple[str, str], temperature: float, random: Random) -> int:
    """Draw the noisy label of a pair, 1 or 2: Bradley-Terry on the hidden quality."""
    first, second = (quality(facts, instruction, response) for response in pair)
    return 1 if random.random() < preference_probability(first - second, temperature) else 2


def rate(
    facts: Facts, instruction: str, responders: Iterable[Responder], noise: float, random: Random
) -> Iterator[dict]:
    """Let responders answer an instruction, each with a score: the hidden quality plus normal noise.

    Args:
        noise: standard deviation of the noise, in units of quality.

    Yields:
        `{"text": str, "score": float, "source": str}`, one a responder.
    """
    for responder in responders:
        text = responder.write(facts, instruction, random)
        score = quality(facts, instruction, text) + random.gauss(0.0, noise)
        yield {"text": text, "score": round(score, 2), "source": responder.name}
