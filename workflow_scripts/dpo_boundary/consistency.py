"""Preference consistency proper: Definition 5.5 with the policy's own log-probabilities.

Algorithm 1 takes for granted that the policy always gives its own samples the higher probability, which makes the
preference consistency of equation 10 equal to the boundary score. Here that is looked up instead of assumed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpo_boundary.comparisons import Table, as_comparisons
from dpo_boundary.errors import BadInput
from dpo_boundary.intervals import Interval, clustered_interval
from dpo_boundary.result import plain, recommended_source, verdict_of


@dataclass(frozen=True)
class PreferenceConsistency:
    """How far the policy, and the source of the off-policy candidates, rank responses as the preference model does.

    Intervals take prompts as the independent unit.

    Attributes:
        consistency: preference consistency of the preference model and the policy (equation 10).
        interval: its interval.
        off_policy_consistency: the same of the preference model and the off-policy distribution (equation 11).
        boundary_score: Algorithm 1's shortcut for `consistency`, on the same comparisons.
        on_policy_likelier: share of comparisons whose on-policy response has the higher probability under the policy,
            the mean over prompts (Table 8). Algorithm 1 assumes 1.
        on_policy_likelier_interval: its interval.
        recommended_source: `off` or `on`, whichever distribution is the more consistent one.
        verdict: "decided" if the interval of their difference leaves out zero, else "undecided".
        shortcut_source: what Algorithm 1 recommends.
        shortcut_verdict: "decided" if the interval of the boundary score leaves out 0.5, else "undecided".
        confidence: level of the intervals.
        prompts: prompts that the figures rest on.
        comparisons: comparisons that they rest on.
    """

    consistency: float
    interval: Interval
    off_policy_consistency: float
    boundary_score: float
    on_policy_likelier: float
    on_policy_likelier_interval: Interval
    recommended_source: str
    verdict: str
    shortcut_source: str
    shortcut_verdict: str
    confidence: float
    prompts: int
    comparisons: int

    @property
    def shortcut_is_safe(self) -> bool:
        """Whether Algorithm 1 recommends what the log-probabilities do."""
        return self.recommended_source == self.shortcut_source

    def as_json(self) -> dict[str, Any]:
        """The figures as plain JSON values, to six decimals."""
        return {key: plain(value) for key, value in vars(self).items()} | {"shortcut_is_safe": self.shortcut_is_safe}


def logps_of_comparisons(
    comparisons: Iterable[Mapping[str, Any]], likelihoods: Iterable[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[float], list[float]]:
    """Look up the log-probabilities of both responses of each comparison.

    Args:
        comparisons: rows of `schemas.COMPARISONS`.
        likelihoods: rows of `schemas.LIKELIHOODS` of the same policy and split.

    Returns:
        The comparisons both of whose responses have one, in order, and log pi(y|x) of their on-policy and off-policy
        responses. A prompt that leaves no room for a response has none.
    """
    logps = {(row["prompt_id"], row["on_policy"], row["index"]): row["logp"] for row in likelihoods}
    kept, on_logps, off_logps = [], [], []
    for row in comparisons:
        on = logps.get((row["prompt_id"], True, row["on_index"]))
        off = logps.get((row["prompt_id"], False, row["off_index"]))
        if on is not None and off is not None:
            kept.append(row)
            on_logps.append(on)
            off_logps.append(off)
    return kept, on_logps, off_logps


def preference_consistency(
    comparisons: Table,
    on_logps: Sequence[float],
    off_logps: Sequence[float],
    *,
    off_policy_logps: tuple[Sequence[float], Sequence[float]] | None = None,
    confidence: float = 0.95,
) -> PreferenceConsistency:
    """Preference consistency of a policy and of the off-policy source with the preference model (equations 9 to 11).

    The policy prefers the response that it gives the higher log-probability (equation 8); a tie is no preference for
    the on-policy response, as the indicator of equation 9 has it. Where the preference model sees a tie, either ranking
    is half consistent, so that the shortcut's assumption gives exactly the boundary score.

    Args:
        comparisons: as `measure_boundary` takes them.
        on_logps: for each comparison, log π_θ of the on-policy response, summed over its tokens.
        off_logps: for each comparison, log π_θ of the off-policy response.
        off_policy_logps: the same two under the policy that wrote the off-policy candidates, where there is one.
            Without them it is taken to prefer its own responses always (Appendix F.1), for π_off is intractable.
        confidence: level of the intervals.

    Raises:
        BadInput: there is not one finite log-probability for each response of each comparison.
    """
    table = as_comparisons(comparisons)
    preferred, prompts = table.preferred, len(table.prompt_ids)
    likelier = _prefers_on_policy(on_logps, off_logps, len(table))
    off_likelier = np.zeros(len(table))
    if off_policy_logps is not None:
        off_likelier = _prefers_on_policy(*off_policy_logps, len(table))
    agreement, off_agreement = _agreement(preferred, likelier), _agreement(preferred, off_likelier)
    _, counts = table.by_prompt()
    consistency, off_consistency = float(agreement.mean()), float(off_agreement.mean())
    score = float(preferred.mean())

    def interval(of: np.ndarray) -> Interval:
        return clustered_interval(np.bincount(table.prompt, of, prompts), counts, confidence)

    shares = np.bincount(table.prompt, likelier, prompts) / counts
    weight = np.full(prompts, counts.mean())  # every prompt counts the same, whatever its number of comparisons
    return PreferenceConsistency(
        consistency=consistency,
        interval=interval(agreement),
        off_policy_consistency=off_consistency,
        boundary_score=score,
        on_policy_likelier=float(shares.mean()),
        on_policy_likelier_interval=clustered_interval(shares * weight, weight, confidence),
        recommended_source="on" if consistency >= off_consistency else "off",
        verdict=verdict_of(interval((1 + agreement - off_agreement) / 2)),  # one half where both are as consistent
        shortcut_source=recommended_source(score),
        shortcut_verdict=verdict_of(interval(preferred)),
        confidence=confidence,
        prompts=prompts,
        comparisons=len(table),
    )


def _prefers_on_policy(on_logps: Sequence[float], off_logps: Sequence[float], comparisons: int) -> np.ndarray:
    """I[P(on-policy ≻ off-policy)] of equation 9, 1 or 0 for each comparison."""
    on, off = (np.asarray(logps, float) for logps in (on_logps, off_logps))
    if on.shape != (comparisons,) or off.shape != (comparisons,) or not np.isfinite([on, off]).all():
        raise BadInput(f"{comparisons} comparisons need as many finite log-probabilities of either response")
    return (on > off).astype(float)


def _agreement(preferred: np.ndarray, likelier: np.ndarray) -> np.ndarray:
    """XNOR of equation 9, with one half where the preference model sees a tie."""
    return preferred * likelier + (1 - preferred) * (1 - likelier)
