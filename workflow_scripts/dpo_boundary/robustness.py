"""Does the decision survive another look? The boundary score on parts of the comparisons, or under another preference
model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpo_boundary.blocks import seeded_order
from dpo_boundary.comparisons import Comparisons, Table, as_comparisons
from dpo_boundary.errors import BadInput
from dpo_boundary.measurement import measure_boundary
from dpo_boundary.result import DECIDED

LENGTHS_MATCH = 0.1  # lengths differ by at most this share of the longer one


@dataclass(frozen=True)
class Look:
    """The decision on a part of the comparisons.

    Attributes:
        name: which part.
        prompts: prompts that have a comparison in it.
        comparisons: comparisons in it.
        boundary_score: on that part; None if it is empty.
        interval: of the score, clustered by prompt; None if it is empty.
        recommended_source: `off` or `on`; None if it is empty.
        decided: whether the interval leaves out 0.5; None if it is empty.
        agrees: whether it recommends what all comparisons do; None if it is empty.
    """

    name: str
    prompts: int
    comparisons: int
    boundary_score: float | None
    interval: tuple[float, float] | None
    recommended_source: str | None
    decided: bool | None
    agrees: bool | None

    def as_json(self) -> dict[str, Any]:
        """The look as plain JSON values; figures keep six decimals."""
        score, interval = self.boundary_score, self.interval
        return vars(self) | {
            "boundary_score": None if score is None else round(score, 6),
            "interval": None if interval is None else [round(end, 6) for end in interval],
        }


def look_again(
    comparisons: Table,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    other_preference_models: Mapping[str, Table] | None = None,
) -> list[Look]:
    """The decision on all comparisons, and whether parts of them and other preference models agree.

    Args:
        comparisons: as `measure_boundary` takes them. Without lengths or order flips the parts that need them are left
            out.
        confidence: level of the intervals.
        seed: of the halves.
        other_preference_models: comparisons under others, by name. Each may be about more or fewer prompts, as measurements
            are that stop when they are decided.

    Raises:
        BadInput: one of another preference model is about other prompts altogether; see also `measure_boundary`.
    """
    every = as_comparisons(comparisons)
    parts = {"all comparisons": every}
    if every.on_length is not None and every.off_length is not None:
        longer = np.maximum(every.on_length, every.off_length)
        matched = np.abs(every.on_length - every.off_length) <= LENGTHS_MATCH * longer
        parts[f"lengths within {LENGTHS_MATCH:.0%}"] = every.where(matched)
    if every.order_flip is not None:
        flipped = np.bincount(every.prompt, every.order_flip, len(every.prompt_ids)) > 0
        parts["prompts whose orders all agree"] = every.where(~flipped[every.prompt])
    order = seeded_order(every.prompt_ids, seed)
    first = set(order[: len(order) // 2])
    in_first = np.array([prompt_id in first for prompt_id in every.prompt_ids])[every.prompt]
    parts |= {"first half of the prompts": every.where(in_first), "second half": every.where(~in_first)}
    for name, table in (other_preference_models or {}).items():
        opinion = as_comparisons(table)
        if set(every.prompt_ids).isdisjoint(opinion.prompt_ids):
            raise BadInput(
                f"the comparisons under {name} share no prompt_id with those they are a second opinion on; compare the same prompts"
            )
        parts[f"preference model {name}"] = opinion
    decision = measure_boundary(every, confidence=confidence).recommended_source
    return [_look(name, part, decision, confidence) for name, part in parts.items()]


def _look(name: str, part: Comparisons, decision: str, confidence: float) -> Look:
    if not len(part):
        return Look(name, 0, 0, None, None, None, None, None)
    found = measure_boundary(part, confidence=confidence)
    return Look(
        name=name,
        prompts=found.prompts,
        comparisons=found.comparisons,
        boundary_score=found.boundary_score,
        interval=found.interval,
        recommended_source=found.recommended_source,
        decided=found.verdict == DECIDED,
        agrees=found.recommended_source == decision,
    )


def as_markdown(looks: Sequence[Look]) -> str:
    """The looks as a Markdown table."""
    lines = [
        "| Part | Prompts | Comparisons | Boundary score | Interval | Recommended | Agrees |",
        "|------|---------|-------------|----------------|----------|-------------|--------|",
    ]
    for look in looks:
        if look.boundary_score is None:
            figures = ["–"] * 4
        else:
            low, high = look.interval
            agrees = "yes" if look.agrees else "**no**" if look.decided else "no, but undecided"
            recommended = f"{look.recommended_source}{'' if look.decided else ' (undecided)'}"
            figures = [f"{look.boundary_score:.3f}", f"{low:.3f}–{high:.3f}", recommended, agrees]
        lines.append(f"| {' | '.join([look.name, f'{look.prompts:,}', f'{look.comparisons:,}', *figures])} |")
    return "\n".join(lines) + "\n"
