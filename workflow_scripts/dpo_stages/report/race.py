"""What a race of candidate sources found, on one page: the verdict, the curve of the arms, and what it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpo_stages.report import audits
from dpo_stages.report.table import Grid, Table
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


def cost(race: Mapping[str, Any], prompts: int) -> Cost:
    """What a race took.

    Args:
        race: JSON of decide_race.py.
        prompts: that every arm was sampled on at every look, twice; a judge is asked about fewer where that decides.
    """
    epochs, responses, comparisons, before = 0.0, 0, 0, 0.0
    for look in race["looks"]:
        trainings = len(look["arms"]) * look["runs"]
        epochs += trainings * (look["share"] - before)
        responses += 2 * trainings * prompts
        comparisons += 2 * len(look["pairs"]) * look["runs"] * look["budget"]
        before = look["share"]
    return Cost(epochs, before if race["winner"] else 0.0, responses, comparisons)


def taken(race: Mapping[str, Any], undecided: str) -> str:
    """The source that is trained on next."""
    return race["leader"] if race["winner"] or undecided == RECOMMENDED else undecided


def as_markdown(
    race: Mapping[str, Any],
    audit: Mapping[str, Any],
    took: Cost,
    undecided: str,
    yardstick: str,
    figure: str,
    notes: Sequence[str] = (),
) -> str:
    """One page for a person.

    Args:
        race: JSON of decide_race.py.
        audit: JSON of audit_sources.py for the same policy.
        took: what the race took.
        undecided: the source that is taken where the race is undecided.
        yardstick: name of what compared the responses.
        figure: file of the curve, beside the page.
        notes: sentences that take weight from it.
    """
    kept = f", of which the winner's own training keeps {took.kept:g}" if took.kept else ""
    rule = "" if race["winner"] else f" The race is undecided, and `{undecided}` is the rule."
    labels = "\n".join(f"- {audits.verdict(name, source)}" for name, source in audit["sources"].items())
    parts = [
        ("title", f"Which data next for {race['policy']}?"),
        ("words", f"**Train next on `{taken(race, undecided)}`.**{rule}"),
        ("words", race["paragraph"].strip()),
        ("words", f"![How far one arm is preferred to another after each share of an epoch]({figure})"),
        ("grid", _grid(race)),
        (
            "words",
            f"What is held, by the judgement of {yardstick}: an arm is out only where another one is better at that share of an "
            f"epoch, over other prompts and other orders of the pairs, with {100 * race['confidence']:g} % confidence for the "
            "whole race. That it stays behind to the end of its training is not held.",
        ),
        ("heading", "Are the labels right?"),
        ("words", labels),
        ("heading", "What it took"),
        (
            "words",
            f"{took.epochs:.3g} epochs of training over all arms and orders{kept}; {took.responses:,} responses and "
            f"{took.comparisons:,} comparisons, each in both orders of presentation.",
        ),
        *(("words", note) for note in notes),
    ]
    return Table([], parts).markdown()


def _grid(race: Mapping[str, Any]) -> Grid:
    """Every pair of arms at every look."""
    which = "adjusted_" if race["length_controlled"] else ""
    rows = [
        [
            f"{100 * look['share']:g} %",
            f"{pair['arm_1']} over {pair['arm_2']}",
            f"{100 * pair[f'{which}score']:.1f}",
            "{:.1f} to {:.1f}".format(*(100 * end for end in pair[f"{which}interval"])),
            str(look["prompts"]),
            str(look["runs"]),
            f"{pair['better']} is better" if pair["better"] else "open",
        ]
        for look in race["looks"]
        for pair in look["pairs"]
    ]
    return Grid(["After", "Preferred", "%", "Interval", "Prompts", "Orders", ""], rows)
