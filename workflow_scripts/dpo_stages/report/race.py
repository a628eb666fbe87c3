"""What a race of candidate sources found, on one page: the verdict, the curve of the arms, and what it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpo_boundary.result import UNDECIDED
from dpo_stages.report import audits
from dpo_stages.report.table import Grid, Table
from dpo_stages.study.choices import BY_HAND, BY_RACE, RULE_OF_UNDECIDED
from dpo_stages.study.policies import Policy, of_data

FIGURE = "How far one arm is preferred to another after each share of an epoch"


@dataclass(frozen=True)
class Cost:
    """What a race took.

    Attributes:
        epochs: of training, over all arms and orders.
        kept: of these, what the training on the source that is taken goes on from; 0 where that did not race.
        responses: sampled.
        comparisons: pairs of responses that the yardstick was asked about, each in both orders of presentation.
    """

    epochs: float
    kept: float
    responses: int
    comparisons: int


def cost(race: Mapping[str, Any], prompts: int, source: str) -> Cost:
    """What a race took.

    Args:
        race: JSON of decide_race.py.
        prompts: that every arm was sampled on at every look, twice; a judge is asked about fewer where that decides.
        source: that is trained on next.
    """
    epochs, responses, comparisons, before, kept = 0.0, 0, 0, 0.0, 0.0
    for look in race["looks"]:
        trainings = len(look["arms"]) * look["runs"]
        epochs += trainings * (look["share"] - before)
        responses += 2 * trainings * prompts
        comparisons += 2 * len(look["pairs"]) * look["runs"] * look["budget"]
        before = look["share"]
        kept = before if source in look["arms"] else kept
    return Cost(epochs, kept, responses, comparisons)


def advice(race: Mapping[str, Any]) -> tuple[str, str]:
    """What to train on next, and where it is not what won, what decided that.

    Args:
        race: JSON of make_race.py.
    """
    source, by, undecided = race["source"], race["decided_by"], race["verdict"] == UNDECIDED
    next_ = f"Train next on `{source}`"
    if by == BY_HAND:
        stands = f"is undecided, and `{race['leader']}` leads" if undecided else f"was won by `{race['winner']}`"
        return f"{next_} (decided by hand).", f"The study's `boundary.decisions` names it; the race {stands}."
    if undecided:
        rule = f"`{source}` is the rule" if by == RULE_OF_UNDECIDED[BY_RACE] else f"`{source}` leads, with no certainty"
        return f"{next_} (undecided).", f"The race is undecided, and {rule}."
    return f"{next_}.", ""


def as_markdown(
    race: Mapping[str, Any], audited: Sequence[Mapping[str, Any]], figure: str, notes: Sequence[str] = ()
) -> str:
    """One page for a person.

    Args:
        race: JSON of make_race.py.
        audited: JSON of audit_sources.py for the same policy, one a data set.
        figure: file of the curve, beside the page.
        notes: sentences that take weight from it.
    """
    next_, why = advice(race)
    labels = "\n".join(
        f"- {audits.verdict(of_data(name, Policy.parse(audit['initial_policy']).asked), source)}"
        for audit in audited
        for name, source in audit["sources"].items()
    )
    parts = [
        ("title", f"Which data next for {race['policy']}?"),
        ("words", f"**{next_}** {why}".rstrip()),
        ("words", race["paragraph"].strip()),
        ("words", f"![{FIGURE}]({figure})"),
        ("grid", _grid(race)),
        ("words", held(race)),
        ("heading", "Are the labels right?"),
        ("words", labels),
        ("heading", "What it took"),
        ("words", taken(race)),
        *(("words", note) for note in notes),
    ]
    return Table([], parts).markdown()


def held(race: Mapping[str, Any]) -> str:
    """What a race holds, and what not."""
    return (
        f"What is held, by the judgement of {race['yardstick']}: an arm is out only where another one is better at that share of "
        f"an epoch, over other prompts and other orders of the pairs, with {100 * race['confidence']:g} % confidence for the "
        "whole race. That it stays behind to the end of its training is not held."
    )


def taken(race: Mapping[str, Any]) -> str:
    """What a race took, in a sentence."""
    took = Cost(**race["cost"])
    kept = f", of which the training on `{race['source']}` keeps {took.kept:g}" if took.kept else ""
    return (
        f"{took.epochs:.3g} epochs of training over all arms and orders{kept}; {took.responses:,} responses and "
        f"{took.comparisons:,} comparisons, each in both orders of presentation."
    )


def card(race: Mapping[str, Any], figure: str) -> dict[str, Any]:
    """What the report shows of a race.

    Args:
        race: JSON of make_race.py.
        figure: the curve as a data URI.
    """
    next_, why = advice(race)
    verdict = race["paragraph"].split("**")[1]
    reason = f"{race['reason'][0].upper()}{race['reason'][1:]}."
    return {
        "policy": race["policy"],
        "next": next_,
        "said": " ".join(filter(None, [verdict, reason, why])),
        "figure": figure,
        "caption": FIGURE,
        "notes": [*(f"{note}." for note in race["notes"]), held(race), taken(race)],
        "page": f"results/races/{race['policy']}.md",
    }


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
