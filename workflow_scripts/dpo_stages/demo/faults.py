"""Pairs that the preference model learns from: what may be wrong with a response, and the noisy label of a pair."""

import re
from random import Random

from dpo_stages.demo.lengths import concise, padded
from dpo_stages.demo.quality import preference_probability, quality, statement_pattern, without_padding
from dpo_stages.demo.responders import Responder, without_end
from dpo_stages.demo.world import ANIMALS, CATEGORIES, Facts, other_value


def _statements(text: str) -> list[re.Match]:
    return [match for match in statement_pattern().finditer(text) if match.lastgroup != "animal"]


def _with_other_value(text: str, random: Random) -> str:
    if not (matches := _statements(text)):
        return text
    match = random.choice(matches)
    start, end = match.span(match.lastgroup)
    category = match.lastgroup.rpartition("_")[0]
    return text[:start] + other_value(category, text[start:end].lower(), random) + text[end:]


def _with_repeated_sentence(text: str, random: Random) -> str:
    sentences = re.findall(r"[^.;]+[.;]?", text)
    position = random.randrange(len(sentences))
    times = random.randint(1, 3)
    return "".join(sentences[: position + 1] + [f" {sentences[position].strip()}"] * times + sentences[position + 1 :])


def _with_repeated_clause(text: str, random: Random) -> str:
    """One statement is made again, in its own words or in others, right behind itself or at the end."""
    if not (matches := _statements(text)):
        return text
    match = random.choice(matches)
    category = CATEGORIES[match.lastgroup.rpartition("_")[0]]
    again = [
        random.choice(category.predicates).format(value=match[match.lastgroup].lower())
        for _ in range(random.choice((1, 1, 2)))
    ]
    if random.random() < 0.5:
        return text[: match.end()] + "".join(f" and {predicate}" for predicate in again) + text[match.end() :]
    named = [found[0] for found in statement_pattern().finditer(text[: match.start()]) if found.lastgroup == "animal"]
    subject = f"The {named[-1]}" if named else "It"
    return text + "".join(f" {subject} {predicate}." for predicate in again)


def _about_another(text: str, random: Random) -> str:
    return re.sub("|".join(ANIMALS), random.choice(ANIMALS), text)


def _too_short(text: str, random: Random) -> str:
    """Only the first statements, one at least."""
    matches = _statements(text)
    if len(matches) < 2:
        return text
    return f"{text[: matches[random.randrange(len(matches) - 1)].end()]}."


def _garbled(text: str, random: Random) -> str:
    words = text.split()
    for _ in range(random.randint(1, 4)):
        words[random.randrange(len(words))] = random.choice(words)
    return " ".join(words)


FAULTS = {
    "other value": _with_other_value,
    "repeated sentence": _with_repeated_sentence,
    "repeated clause": _with_repeated_clause,
    "another animal": _about_another,
    "too short": _too_short,
    "without end": without_end,
    "garbled": _garbled,
}
"""Ways in which a policy's text may be worse than a responder's; each takes a text and a generator."""


_OFTEN = [*FAULTS.values(), *2 * [_with_repeated_clause]]  # what preference optimisation drives policies to


def draw_pair(facts: Facts, instruction: str, alike: float, random: Random) -> tuple[str, str]:
    """Draw two responses to one instruction, such as a preference model may meet.

    Writers of any quality. In half of the pairs the second response is the first with a fault, and every third of those
    faults is another value; in a fifth it is one of its own with a fault. Padding and wording are drawn anew for both, so that
    neither tells anything. The two are not equally good, but for pairs that say the same.

    Args:
        facts: the truth.
        instruction: what both answer.
        alike: share of pairs that say the same.
        random: draws.
    """
    while True:
        first, second = (_anyone(random).write(facts, instruction, random) for _ in range(2))
        same, form = random.random() < alike, random.random()
        if same:
            second = first
        elif form < 0.15:
            second = _with_other_value(first, random)
        elif form < 0.5:
            second = random.choice(_OFTEN)(first, random)
        elif form < 0.7:
            second = random.choice(_OFTEN)(second, random)
        pair = (_said_anew(first, random), _said_anew(second, random))
        if same or quality(facts, instruction, first) != quality(facts, instruction, second):
            return pair if random.random() < 0.5 else pair[::-1]


def _said_anew(text: str, random: Random) -> str:
    """The same statements, with other padding, now and then in fewer words."""
    text = padded(without_padding(text), random.randint(0, 3), random)
    return concise(text) if random.random() < 0.2 else text


def _anyone(random: Random) -> Responder:
    return Responder("anyone", accuracy=random.uniform(0.3, 1.0), statements=random.randint(1, 6), slips=0.05)


def draw_label(facts: Facts, instruction: str, pair: tuple[str, str], temperature: float, random: Random) -> int:
    """Draw the noisy label of a pair, 1 or 2: Bradley-Terry on the hidden quality, a coin where both are as good."""
    first, second = (quality(facts, instruction, response) for response in pair)
    return 1 if random.random() < preference_probability(first - second, temperature) else 2
