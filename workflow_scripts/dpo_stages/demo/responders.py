"""Who answers in the demo's world: responders of several qualities."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from dpo_stages.demo.lengths import padded
from dpo_stages.demo.quality import quality
from dpo_stages.demo.world import ANIMALS, CATEGORIES, Facts, Request, other_value, read_instruction


@dataclass(frozen=True)
class Responder:
    """A writer of a certain quality.

    Attributes:
        name: who it is, kept with every response.
        accuracy: probability that a statement is true.
        statements: how many statements a response makes, give or take one.
        slips: probability of each of these: a statement is made twice, one is about another animal, the end is missing.
        padding: most sentences of padding in a response; any number up to it is as likely.
    """

    name: str
    accuracy: float
    statements: int
    slips: float
    padding: int = 3

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
        text = padded(text, random.randint(0, self.padding), random)
        return without_end(text, random) if random.random() < self.slips else text

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


def without_end(text: str, random: Random) -> str:
    """The text cut somewhere in its second half, without a full stop."""
    words = text.split()
    return " ".join(words[: random.randint(max(1, len(words) // 2), max(1, len(words) - 1))]).rstrip(".;,:")


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
