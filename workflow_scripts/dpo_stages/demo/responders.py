"""Who answers in the demo's world: responders of several qualities, the pairs that they give and the labels of those."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from dpo_stages.demo.quality import preference_probability, quality, statement_pattern
from dpo_stages.demo.world import ANIMALS, CATEGORIES, Facts, Request, other_value, read_instruction


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
            value = other_value(name, value, random)
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


def _without_end(text: str, random: Random) -> str:
    words = text.split()
    return " ".join(words[: random.randint(max(1, len(words) // 2), max(1, len(words) - 1))]).rstrip(".;,:")


def _with_repetition(text: str, random: Random) -> str:
    sentences = re.findall(r"[^.;]+[.;]?", text)
    position = random.randrange(len(sentences))
    times = random.randint(1, 3)
    return "".join(sentences[: position + 1] + [f" {sentences[position].strip()}"] * times + sentences[position + 1 :])


def _with_other_value(text: str, random: Random) -> str:
    matches = [match for match in statement_pattern().finditer(text) if match.lastgroup != "animal"]
    if not matches:
        return text
    match = random.choice(matches)
    start, end = match.span(match.lastgroup)
    category = match.lastgroup.rpartition("_")[0]
    return text[:start] + other_value(category, text[start:end].lower(), random) + text[end:]


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
