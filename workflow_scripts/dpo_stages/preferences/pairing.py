"""Which two candidates of a prompt become chosen and rejected, where there may be more than two.

A candidate's score is its mean margin against the others: of a preference model's logits, or of the differences of the data
set's own scores. Rules:

    two          two candidates, of which the margin between them chooses, as the paper does: the first two samples; of a data
                 set with scores the best one and a random other one, as UltraFeedback was binarised
    best-worst   the highest score and the lowest
    best-random  the highest score and a random other candidate
    best-below   the highest score and the one nearest to the mean less two standard deviations of the scores (Xiao et al.,
                 2025, "Finding the Sweet Spot: Preference Data Construction for Scaling Preference Optimization")

Of equal scores the first candidate is taken. What is drawn depends on the seed and the prompt alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpo_stages.data.candidates import Group, pair_of
from dpo_stages.data.preferences import NO_OWN_LABEL, OTHER_OWN_LABEL, preference
from dpo_stages.data.prompts import seeded_number
from dpo_stages.preferences.margins import Margins
from dpo_stages.study.groups import BEST_WORST, TWO

BEST_RANDOM, BEST_BELOW = "best-random", "best-below"
RULES = (TWO, BEST_WORST, BEST_RANDOM, BEST_BELOW)
CUT, IDENTICAL, TIES, OPENED = "cut responses", "identical responses", "ties", "one of two with an opened thought"


class NoPair(Exception):
    """A prompt without a pair; the message is the reason it is counted under."""


@dataclass(frozen=True)
class Pairing:
    """How pairs are made.

    Attributes:
        rule: one of `RULES`.
        seed: of what is drawn.
        drop_truncated: candidates that were cut take no part; of the rule `two` a pair with one is left out.
        drop_ties: a pair without a preference is left out; else its second candidate is chosen.
    """

    rule: str
    seed: int
    drop_truncated: bool = False
    drop_ties: bool = True

    def choose(self, group: Group, margins: Margins, among: Sequence[int] | None = None) -> tuple[int, int]:
        """The positions of the chosen and the rejected candidate.

        Args:
            group: the candidates.
            margins: between them.
            among: positions that take part; None: all whose margins are known.

        Raises:
            NoPair: there are no two that differ, none is preferred, or they were cut.
        """
        of = group.candidates
        among = [at for at in (range(len(of)) if among is None else among) if not np.isnan(margins.logits[at, at])]
        if self.rule != TWO and self.drop_truncated:
            among = [at for at in among if not of[at].truncated]
            if len(among) < 2:
                raise NoPair(CUT)
        if len(among) < 2:
            raise NoPair(NO_OWN_LABEL)
        if self.rule == TWO:
            chosen, rejected = self._two(group, among)
            if self.drop_truncated and (of[chosen].truncated or of[rejected].truncated):
                raise NoPair(CUT)
            margin = margins.logits[chosen, rejected]
            if margin < 0:
                chosen, rejected = rejected, chosen
        else:
            chosen, rejected, margin = self._by_score(group, margins, among)
        if margin == 0:
            if self.drop_ties:
                raise NoPair(IDENTICAL if of[chosen].text == of[rejected].text else TIES)
            return max(chosen, rejected), min(chosen, rejected)
        return chosen, rejected

    def best(self, margins: Margins, among: Sequence[int]) -> int:
        """The position of the highest score among these."""
        return among[int(margins.scores(among).argmax())]

    def _two(self, group: Group, among: Sequence[int]) -> tuple[int, int]:
        """The two candidates of the rule `two`, in the order of their numbers."""
        scored = [at for at in among if group.candidates[at].own_score is not None]
        if len(scored) < 2:
            return among[0], among[1]
        best = max(scored, key=lambda at: group.candidates[at].own_score)  # the first of several
        other = self._random(group, [at for at in scored if group.candidates[at].text != group.candidates[best].text])
        return min(best, other), max(best, other)

    def _by_score(self, group: Group, margins: Margins, among: Sequence[int]) -> tuple[int, int, float]:
        """Chosen, rejected, and the difference of their scores."""
        scores = dict(zip(among, margins.scores(among).tolist(), strict=True))
        chosen = max(among, key=scores.__getitem__)
        others = [at for at in among if group.candidates[at].text != group.candidates[chosen].text]
        if self.rule == BEST_RANDOM:
            rejected = self._random(group, others)
        elif not others:
            raise NoPair(IDENTICAL)
        elif self.rule == BEST_BELOW:
            known = list(scores.values())
            aim = np.mean(known) - 2 * np.std(known)
            rejected = min(others, key=lambda at: abs(scores[at] - aim))
        else:
            rejected = min(others, key=scores.__getitem__)
        return chosen, rejected, scores[chosen] - scores[rejected]

    def _random(self, group: Group, among: Sequence[int]) -> int:
        if not among:
            raise NoPair(IDENTICAL)
        return among[seeded_number(self.seed, group.prompt_id, "rejected") % len(among)]


def pick(pairing: Pairing, group: Group, margins: Margins) -> tuple[int, int]:
    """The data set's pair of a pooled prompt where its chosen response beats the policy's own best, else the policy's own pair.

    Raises:
        NoPair: the pair that is taken is none, see `Pairing.choose`.
    """
    own = [at for at, candidate in enumerate(group.candidates) if candidate.sampled]
    others = [at for at, candidate in enumerate(group.candidates) if not candidate.sampled]
    if own and len(others) > 1:
        try:
            pair = pairing.choose(group, margins, others)
        except NoPair:
            return pairing.choose(group, margins, own)
        if margins.logits[pair[0], pairing.best(margins, own)] > 0:
            return pair
    return pairing.choose(group, margins, own or others)


class PairMaker:
    """Makes rows of `schemas.PREFERENCES`, and counts.

    Args:
        pairing: how pairs are made.
        picks: of pooled groups a pair of one source is taken, see `pick`.
        disputed: whether pairs are left out whose own scores say otherwise, or nothing.

    Attributes:
        dropped: prompts without a pair, by reason.
    """

    def __init__(self, pairing: Pairing, picks: bool = False, disputed: bool = False) -> None:
        self.pairing, self.picks, self.disputed = pairing, picks, disputed
        reasons = (CUT, IDENTICAL, TIES, NO_OWN_LABEL) + ((OTHER_OWN_LABEL,) if disputed else ())
        self.dropped = dict.fromkeys(reasons, 0)
        self.agreements: list[bool] = []
        self.flips: list[bool] = []
        self.longer: list[bool] = []
        self.overruled = 0
        self.origins = {"own": 0, "off_policy": 0, "mixed": 0}

    def pair(self, group: Group, margins: Margins) -> dict | None:
        """The row of a group; None where it has no pair, which is counted."""
        try:
            return self._pair(group, margins)
        except NoPair as reason:
            self.dropped[str(reason)] = self.dropped.get(str(reason), 0) + 1
            return None

    def _pair(self, group: Group, margins: Margins) -> dict:
        both = pick(self.pairing, group, margins) if self.picks else self.pairing.choose(group, margins)
        chosen, rejected = (group.candidates[at] for at in both)
        if chosen.opens_thought != rejected.opens_thought and True in (chosen.opens_thought, rejected.opens_thought):
            raise NoPair(OPENED)  # one row, rendered once, cannot hold both
        asked = margins.order_flips is not None
        logit = float(margins.logits[both])
        row = pair_of(group, min(both), max(both))
        original = row["original_preference"]
        agrees = None if original is None or (asked and logit == 0) else (original == 1) == (both[0] < both[1])
        if asked and agrees is not None:
            self.agreements.append(agrees)
        if self.disputed and not agrees:
            raise NoPair(NO_OWN_LABEL if original is None else OTHER_OWN_LABEL)
        flip = bool(margins.order_flips[both]) if asked else None
        if flip is not None:
            self.flips.append(flip)
        self.overruled += logit < 0
        if len(chosen.text) != len(rejected.text):
            self.longer.append(len(chosen.text) > len(rejected.text))
        sampled = chosen.sampled + rejected.sampled
        self.origins["own" if sampled == 2 else "mixed" if sampled else "off_policy"] += 1
        by_place = logit if both[0] < both[1] else -logit
        return preference(row, 1 if both[0] < both[1] else 2, by_place if asked else None, flip, agrees)

    def counts(self, others: bool) -> dict[str, object]:
        """Figures of the pairs for a ledger.

        Args:
            others: whether there were candidates of two origins.
        """
        pairs = sum(self.origins.values())
        counts: dict[str, object] = {
            "pairs": pairs + sum(self.dropped.values()),
            "ties": self.dropped[TIES] + self.dropped[IDENTICAL],
            "longer_preferred": sum(self.longer) / len(self.longer) if self.longer else 0.5,
        }
        if self.flips:
            counts |= {"order_flip_rate": sum(self.flips) / len(self.flips), "overruled_by_score": self.overruled}
        if self.agreements:
            counts["agreement_with_original"] = sum(self.agreements) / len(self.agreements)
        if others:
            counts |= {f"{origin}_pairs": number for origin, number in self.origins.items()}
            counts["on_policy_share"] = (self.origins["own"] + self.origins["mixed"] / 2) / max(1, pairs)
        return counts
