"""What an audit finds of one source: whether its labels are right by somebody else, and what its pairs are like.

Agreement leaves out pairs of which the yardstick says that they tie. It is also given for the closer and the clearer half of the
pairs by the preference model's margin, which tells whether dropping close pairs would help. Pairs that a data set labelled
itself have no margin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import exp

import numpy as np

from dpo_stages.audit.baselines import Judged, baselines
from dpo_stages.audit.statistics import Estimate, difference, edit_distance, share

TIE = 0.5
MOST_FLIPS = 0.5
"""A yardstick that prefers another response in the other order for more of the pairs than this tells them by their place."""
TRUSTWORTHY, NOT_TRUSTWORTHY, CANNOT_TELL = "trustworthy", "not trustworthy", "cannot tell"


def found_of_labels(rows: Sequence[Mapping], answers: Mapping[str, Mapping], confidence: float) -> dict:
    """How often the yardstick, or who voted, prefers the chosen response.

    Args:
        rows: the drawn pairs, rows of `schemas.PREFERENCES`.
        answers: rows of `columns.ANSWERS` by prompt, of these pairs or of some of them; the first response is the chosen one.
        confidence: of the intervals.

    Returns:
        `verdict`; `answered` and `ties` (pairs); `agreement`, `closer`, `clearer` and `gain_of_clearer` (estimates or None);
        `baselines`, what trivial labels get of the pairs of `agreement`, see `baselines.baselines`;
        `median_margin`, which parts the halves (None of a data set's own labels, as these are); `order_flips` (a share, None of votes) and `rejected_better`, the yardstick's
        mean probability that the rejected response is the better one, a vote being 0, 0.5 or 1 (None without answers).
    """
    asked = [row for row in rows if row["prompt_id"] in answers]
    votes = [(margin_of(row), answers[row["prompt_id"]]["preferred"]) for row in asked]
    decided = sorted((margin, vote) for margin, vote in votes if vote != TIE)
    known = bool(decided) and decided[0][0] is not None
    half = len(decided) // 2 if known else 0
    parts = {"agreement": decided, "closer": decided[:half], "clearer": decided[half:] if known else []}
    found = {name: share(sum(vote == 1 for _, vote in part), len(part), confidence) for name, part in parts.items()}
    gain = difference(found["clearer"], found["closer"]) if half else None
    judged = [judged_by(row, one) for row in asked if (one := answers[row["prompt_id"]])["preferred"] != TIE]
    flips = [answers[row["prompt_id"]]["order_flip"] for row in asked]
    flipped = None if not flips or None in flips else sum(flips) / len(flips)
    return {
        "verdict": verdict(found["agreement"], flipped),
        "answered": len(asked),
        "ties": len(votes) - len(decided),
        **{name: _record(estimate) for name, estimate in found.items()},
        "baselines": baselines(judged, confidence),
        "gain_of_clearer": _record(gain),
        "median_margin": decided[half][0] if decided else None,
        "order_flips": flipped,
        "rejected_better": _mean(1 - probability(answers[row["prompt_id"]]) for row in asked),
    }


def judged_by(row: Mapping, answer: Mapping) -> Judged:
    """A labelled pair beside what the yardstick says of it, which ties on no such pair."""
    right = answer["preferred"] == 1
    lengths = (answer["first_length"], answer["second_length"])
    return Judged(float(right), *(lengths if right else lengths[::-1]), better_first=row["chosen_first"] == right)


def margin_of(row: Mapping) -> float | None:
    """How clearly the preference model prefers the chosen response; None where it was not asked."""
    return None if row["logit"] is None else abs(row["logit"])


def _record(estimate: Estimate | None) -> dict | None:
    return None if estimate is None else asdict(estimate)


def verdict(agreement: Estimate | None, order_flips: float | None) -> str:
    """Trustworthy if the whole interval of the agreement lies above one half, and the yardstick does not go by the order."""
    if agreement is None or (order_flips is not None and order_flips > MOST_FLIPS):
        return CANNOT_TELL
    return TRUSTWORTHY if agreement.low > 0.5 else NOT_TRUSTWORTHY


def probability(answer: Mapping) -> float:
    """That the first response is the better one: of a yardstick the sigmoid of its logit, of a vote the vote itself."""
    return answer["preferred"] if answer["logit"] is None else 1 / (1 + exp(-answer["logit"]))


def panel(rows: Sequence[Mapping], likelihoods: Mapping[str, Mapping], ledger: Mapping) -> dict:
    """What the pairs of a source are like; means over the drawn pairs unless said otherwise, None where nothing is known.

    Args:
        rows: the drawn pairs, rows of `schemas.PREFERENCES`.
        likelihoods: rows of `columns.PAIR_LIKELIHOODS` of this source by prompt; a pair that did not fit has none.
        ledger: of all the source's labels.

    Returns:
        `margin`: |logit| of the preference model, which like `order_flips` is None of a data set's own labels. `order_flips`: share in which it prefers another response in the other
        order. `label_ties`: share of all its candidates without a preference. `dropped`: share of all candidates that are
        no pair. `chosen_logp`, `rejected_logp`: log-probability a token under the initial policy, in nats.
        `likeness`: 1 less the edit distance in words over the words of the longer response. `margin_over_distance`: (sigmoid
        of the margin less one half) over (1 + edit distance in words + difference of the two log-probabilities in nats),
        after DCRM. `chosen_length`, `rejected_length`: characters. `longer_chosen`: share of those that differ in length.
        `chosen_cut`, `rejected_cut`: shares that were cut when they were sampled.
    """
    words = [(row["chosen"].split(), row["rejected"].split()) for row in rows]
    distances = [edit_distance(*both) for both in words]
    margins = [margin_of(row) for row in rows]
    longer = [len(row["chosen"]) > len(row["rejected"]) for row in rows if len(row["chosen"]) != len(row["rejected"])]
    known = [likelihoods[row["prompt_id"]] for row in rows if row["prompt_id"] in likelihoods]
    candidates = ledger["rows_in"]
    return {
        "margin": _mean(margin for margin in margins if margin is not None),
        "order_flips": _mean(row["order_flip"] for row in rows if row["order_flip"] is not None),
        "label_ties": ledger["ties"] / candidates,
        "dropped": sum(ledger["dropped"].values()) / candidates,
        **{
            f"{side}_logp": _mean(one[f"{side}_logp"] / one[f"{side}_tokens"] for one in known)
            for side in ("chosen", "rejected")
        },
        "likeness": _mean(
            1 - distance / max(1, *map(len, both)) for distance, both in zip(distances, words, strict=True)
        ),
        "margin_over_distance": _mean(
            (1 / (1 + exp(-margin)) - 0.5) / (1 + distance + abs(one["chosen_logp"] - one["rejected_logp"]))
            for row, margin, distance in zip(rows, margins, distances, strict=True)
            if margin is not None and (one := likelihoods.get(row["prompt_id"])) is not None
        ),
        "chosen_length": _mean(len(row["chosen"]) for row in rows),
        "rejected_length": _mean(len(row["rejected"]) for row in rows),
        "longer_chosen": _mean(longer),
        **{
            f"{side}_cut": _mean(cut for row in rows if (cut := row[f"{side}_truncated"]) is not None)
            for side in ("chosen", "rejected")
        },
    }


def _mean(values) -> float | None:
    numbers = [*values]
    return float(np.mean(numbers)) if numbers else None
