"""What a race of candidate sources found, on one page: the verdict, the curve of the arms, and what it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpo_stages.study.policies import RECOMMENDED


@dataclass(frozen=True)
class Cost:
    """What a race took.

    Attributes:
        epochs: of training, over all arms and orders.
        kept: of these, what the winner's own training goes on from; 0 where nobody has won.
        responses: sampled.
        comparisons: pairs of responses that the yardstick was asked about, each in both orders of presentation.
    """

    epochs: float
    kept: float
    responses: int
    comparisons: int


def cost(race: Mapping[str, Any]) -> Cost:
    """What a race took, from its looks: `decide_race.py`'s JSON."""
    epochs, responses, comparisons, before = 0.0, 0, 0, 0.0
    for look in race["looks"]:
        trainings = len(look["arms"]) * look["runs"]
        epochs += trainings * (look["share"] - before)
        responses += 2 * trainings * look["budget"]
        comparisons += 2 * len(look["pairs"]) * look["runs"] * look["budget"]
        before = look["share"]
    return Cost(epochs, before if race["winner"] else 0.0, responses, comparisons)


def taken(race: Mapping[str, Any], undecided: str) -> str:
    """The source that is trained on next."""
    return race["leader"] if race["winner"] or undecided == RECOMMENDED else undecided


def as_markdown(race: Mapping[str, Any], undecided: str, yardstick: str, notes: Sequence[str] = ()) -> str:
    """One page for a person.

    Args:
        race: JSON of decide_race.py.
        undecided: the source that is taken where the race is undecided.
        yardstick: label of what compared the responses.
        notes: sentences that take weight from it.
    """
    took = cost(race)
    source = taken(race, undecided)
    kept = f", {took.kept:g} of which the winner's own training goes on from" if took.kept else ""
    parts = [
        f"# Which data next for {race['policy']}?",
        f"**Train next on `{source}`.** "
        + ("" if race["winner"] else f"The race is undecided, and `{undecided}` is the rule. "),
        race["paragraph"].strip(),
        _table(race),
        f"Judged by {yardstick}. It took {took.epochs:.3g} epochs of training over all arms{kept}; {took.responses:,} responses "
        f"and {took.comparisons:,} comparisons, each in both orders of presentation.",
        "What is held: an arm is out only if another is better at that share of an epoch, over other prompts and other orders of "
        "the pairs, with the confidence above. That it stays behind to the end of the training is not.",
        *notes,
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(race: Mapping[str, Any]) -> str:
    adjusted = race["length_controlled"]
    head = "| share of an epoch | arms | preferred | interval | prompts | orders | |\n|---|---|---|---|---|---|---|"
    rows = [head]
    for look in race["looks"]:
        for pair in look["pairs"]:
            low, high = pair["adjusted_interval"] if adjusted else pair["interval"]
            score = pair["adjusted_score"] if adjusted else pair["score"]
            verdict = f"{pair['better']} is better" if pair["better"] else "open"
            rows.append(
                f"| {100 * look['share']:g} % | {pair['arm_1']} over {pair['arm_2']} | {100 * score:.1f} % | "
                f"{100 * low:.1f} to {100 * high:.1f} | {look['prompts']} | {look['runs']} | {verdict} |"
            )
    return "\n".join(rows)
