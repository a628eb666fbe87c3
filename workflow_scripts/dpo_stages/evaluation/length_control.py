"""The model behind the length-controlled win rate, in numpy: quick fits for resamples, and instruction difficulties.

The model is that of "Length-Controlled AlpacaEval" (Dubois et al., 2024). For policy m and instruction x,

    logit P(m beats the reference on x) = phi_m tanh(d_mx / sd(d_m)) + psi_m gamma_x + theta_m

with d_mx the length of the reference's response less that of the policy's, in characters, and gamma_x the instruction's
difficulty. The reference's own length-gamed versions, verbose and concise, join the fit of every policy with a small
weight and theta = 0, which keeps phi honest: they are as good as the reference once length is controlled for. The
length-controlled win rate is the mean over the instructions of the modelled probability at d = 0.

The point estimate comes from alpaca-eval itself (see win_rate); `fit_many` is the same fit for many resamples at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GAMED_WEIGHT = 0.2 / 2  # alpaca-eval's regularisation towards the gamed baselines, shared by the two of them
DIFFICULTY_SPREAD = 1.5  # standard deviation of AlpacaEval's published difficulties: 1.48
WEAK_PENALTY = 1e-2  # keeps phi and theta finite where a policy always wins
_ROWS_AT_ONCE = 400_000  # rows times resamples that fit into the processor's cache a few times over


@dataclass(frozen=True)
class GamedBaselines:
    """Judgements of the reference's length-gamed versions, one row a version and instruction; equal lengths.

    Attributes:
        index: instruction.
        version: 0 or 1, for the verbose and the concise version.
        preference: probability in [0, 1] that the gamed version beats the reference; NaN where the judge gave none.
        length_term: d / sd(d) of the version.
        difficulty: gamma of the instruction.
    """

    index: NDArray[np.int64]
    version: NDArray[np.int64]
    preference: Floats
    length_term: Floats
    difficulty: Floats


def logistic(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def standardised(difference: Floats, counts: Floats | None = None) -> Floats:
    """d / sd(d), with the sample standard deviation; zeros where all differences are equal.

    Args:
        difference: (n,) length of the reference less that of the policy.
        counts: (b, n) how often each instruction is in each resample; the result is then (b, n).
    """
    if counts is None:
        counts = np.ones((1, len(difference)))
        return standardised(difference, counts)[0]
    size = counts.sum(axis=1)
    mean = counts @ difference / size
    variance = (counts @ difference**2 - size * mean**2) / np.maximum(size - 1, 1)
    deviation = np.sqrt(np.maximum(variance, 0.0))
    usable = deviation > 1e-9 * np.abs(difference).max(initial=1.0)
    return difference * np.where(usable, 1.0 / np.where(usable, deviation, 1.0), 0.0)[:, None]


def resample_counts(instructions: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """(resamples, instructions) counts of a bootstrap over instructions; the same for every policy of the set."""
    return np.random.default_rng(seed).multinomial(instructions, np.full(instructions, 1 / instructions), resamples)


def resampled_lc_win_rates(
    index: NDArray[np.int64],
    preference: Floats,
    difference: Floats,
    gamed: GamedBaselines,
    strength: float,
    counts: NDArray[np.int64],
) -> Floats:
    """Length-controlled win rate of every resample, in percent, each with a fit of its own.

    An instruction drawn k times counts k times with all that is known about it: the policy's row and the gamed ones.

    Args:
        index: (n,) instructions of the policy's rows, ascending.
        preference: (n,) probability in [0, 1] that the policy beats the reference; NaN where the judge gave none: the
            row then counts for the spread of lengths and the mean of the modelled probabilities alone, as in alpaca-eval.
        difference: (n,) length of the reference less that of the policy.
        gamed: the gamed baselines and the difficulties; they know every instruction of `index`.
        strength: C, the inverse strength of the L1 penalty, as alpaca-eval's cross-validation chose it.
        counts: (b, n) see `resample_counts`.

    Returns:
        (b,) percentages.
    """
    own_difficulty = difficulty_of(index, gamed)
    target = np.concatenate([preference, gamed.preference])
    judged, target = ~np.isnan(target), np.nan_to_num(target)
    difficulty = np.concatenate([own_difficulty, gamed.difficulty])
    own = np.concatenate([np.ones(len(index)), np.zeros(len(gamed.index))])
    position = np.searchsorted(index, gamed.index).clip(max=len(index) - 1)
    resampled = index[position] == gamed.index
    step = max(1, _ROWS_AT_ONCE // len(target))
    rates, start = [], None
    for first in range(0, len(counts), step):
        drawn = counts[first : first + step].astype(float)
        gamed_weight = np.where(resampled, drawn[:, position], 1.0) * GAMED_WEIGHT
        weight = np.concatenate([drawn, gamed_weight], axis=1) * judged
        length = np.broadcast_to(np.tanh(gamed.length_term), (len(drawn), len(gamed.index)))
        length = np.concatenate([np.tanh(standardised(difference, drawn)), length], axis=1)
        coefficients = fit_many(length, difficulty, own, target, weight, strength, start)
        start = coefficients.mean(axis=0)  # a warm start for the next resamples
        wins = logistic(coefficients[:, 1:2] * own_difficulty + coefficients[:, 2:3])
        rates.append(100 * (drawn * wins).sum(axis=1) / drawn.sum(axis=1))
    return np.concatenate(rates)


def difficulty_of(index: NDArray[np.int64], gamed: GamedBaselines) -> Floats:
    """(n,) difficulty of each instruction of `index`, all of which `gamed` must know."""
    known, first = np.unique(gamed.index, return_index=True)
    return gamed.difficulty[first][np.searchsorted(known, index)]


def fit_many(
    length: Floats,
    difficulty: Floats,
    own: Floats,
    target: Floats,
    weight: Floats,
    strength: float,
    start: Floats | None = None,
    tolerance: float = 1e-7,
    most_steps: int = 100,
) -> Floats:
    """L1-penalised logistic regressions on probabilities, one a resample, by proximal Newton steps.

    Minimises sum_i weight_bi crossentropy(target_i, p_bi) + |w_b|_1 / strength for each b, with
    p_bi = logistic(w_b0 length_bi + w_b1 difficulty_i + w_b2 own_i).

    Args:
        length: (b, r) tanh of the standardised difference of lengths.
        difficulty, own, target: (r,) the other two features, and the probability to be met.
        weight: (b, r).
        strength: C of alpaca-eval's fit.
        start: (3,) coefficients to start from.

    Returns:
        (b, 3) coefficients phi, psi and theta.
    """
    coefficients = np.tile(np.zeros(3) if start is None else start, (len(length), 1))
    shared = np.stack([difficulty, own, difficulty**2, difficulty * own, own**2], axis=1)
    for _ in range(most_steps):
        score = length * coefficients[:, :1]
        score += coefficients[:, 1:2] * difficulty
        score += coefficients[:, 2:] * own
        probability = logistic(score)
        residual = weight * (probability - target)
        gradient = np.column_stack([np.einsum("br,br->b", residual, length), residual @ shared[:, :2]])
        curvature = weight * probability * (1 - probability)
        curved_length = curvature * length
        with_length = curved_length @ shared[:, :2]
        without = curvature @ shared[:, 2:]
        hessian = np.empty((len(length), 3, 3))
        hessian[:, 0, 0] = np.einsum("br,br->b", curved_length, length)
        hessian[:, 0, 1:] = hessian[:, 1:, 0] = with_length
        hessian[:, 1, 1], hessian[:, 1, 2], hessian[:, 2, 1], hessian[:, 2, 2] = without[:, [0, 1, 1, 2]].T
        hessian += 1e-9 * np.eye(3)
        step = _penalised_step(coefficients, gradient, hessian, 1 / strength)
        largest = np.abs(step).max(axis=1, keepdims=True)
        coefficients += step * np.minimum(1.0, 2.0 / np.maximum(largest, 1e-300))
        if largest.max() < tolerance:
            break
    return coefficients


def _penalised_step(at: Floats, gradient: Floats, hessian: Floats, penalty: float) -> Floats:
    """Minimise gradient.s + s'Hs/2 + penalty |at + s|_1 over s by coordinate descent, for all resamples at once."""
    step = np.zeros_like(at)
    for _ in range(200):
        before = step.copy()
        for k in range(at.shape[1]):
            curvature = hessian[:, k, k]
            slope = gradient[:, k] + np.einsum("bj,bj->b", hessian[:, k], step)
            target = at[:, k] + step[:, k] - slope / curvature
            shrunk = np.sign(target) * np.maximum(np.abs(target) - penalty / curvature, 0.0)
            step[:, k] = shrunk - at[:, k]
        if np.abs(step - before).max() < 1e-10:
            break
    return step


def fit_difficulties(
    preference: Floats,
    length_term: Floats,
    gamed_preference: Floats,
    gamed_length_term: Floats,
    tolerance: float = 1e-9,
    most_steps: int = 200,
) -> Floats:
    """Difficulty gamma of every instruction, fitted jointly over the policies of a study.

    The model is the one above with psi = 1 for every policy, as AlpacaEval's own difficulties were fitted: the sum of
    the policies' fits, each with the gamed baselines at their small weight, where phi and theta belong to a policy and
    gamma to all. gamma has a normal prior with the spread of AlpacaEval's difficulties. How wide it is matters little,
    because each policy's psi scales gamma anew; with a single policy gamma also follows what is that policy's own.

    Args:
        preference: (m, n) probability in [0, 1] that policy m beats the reference on instruction n; NaN where the judge
            gave none, also of the gamed baselines.
        length_term: (m, n) d / sd(d) of each policy.
        gamed_preference: (2, n) the same for the two gamed baselines.
        gamed_length_term: (2, n).

    Returns:
        (n,) difficulties in log-odds; larger is easier for the policies.
    """
    policies, instructions = preference.shape
    length, gamed_length = np.tanh(length_term), np.tanh(gamed_length_term)
    weight, gamed_weight = ~np.isnan(preference), GAMED_WEIGHT * ~np.isnan(gamed_preference)
    own_terms, gamma = np.zeros(2 * policies), np.zeros(instructions)  # phi of all policies, then theta; gamma
    for _ in range(most_steps):
        slope, intercept = own_terms[:policies], own_terms[policies:]
        own = logistic(slope[:, None] * length + gamma + intercept[:, None])  # (m, n)
        other = logistic(slope[:, None, None] * gamed_length + gamma)  # (m, 2, n)
        residual = weight * (own - np.nan_to_num(preference))
        other_residual = gamed_weight * (other - np.nan_to_num(gamed_preference))
        curve, other_curve = weight * own * (1 - own), gamed_weight * other * (1 - other)
        gradient = np.concatenate(
            [(residual * length).sum(1) + (other_residual * gamed_length).sum((1, 2)), residual.sum(1)]
        )
        gradient += WEAK_PENALTY * own_terms
        gamma_gradient = residual.sum(0) + other_residual.sum((0, 1)) + gamma / DIFFICULTY_SPREAD**2
        gamma_curve = curve.sum(0) + other_curve.sum((0, 1)) + 1 / DIFFICULTY_SPREAD**2
        # Newton's step; the Hessian is diagonal in gamma, which is eliminated
        slopes = np.diag((curve * length**2).sum(1) + (other_curve * gamed_length**2).sum((1, 2)))
        mixed = np.diag((curve * length).sum(1))
        block = np.block([[slopes, mixed], [mixed, np.diag(curve.sum(1))]]) + WEAK_PENALTY * np.eye(2 * policies)
        cross = np.concatenate([curve * length + (other_curve * gamed_length).sum(1), curve])  # (2m, n)
        step = np.linalg.solve(block - cross / gamma_curve @ cross.T, gradient - cross @ (gamma_gradient / gamma_curve))
        gamma_step = (gamma_gradient - step @ cross) / gamma_curve
        largest = max(np.abs(step).max(), np.abs(gamma_step).max())
        scale = min(1.0, 2.0 / max(largest, 1e-300))
        own_terms, gamma = own_terms - scale * step, gamma - scale * gamma_step
        if largest < tolerance:
            break
    return gamma
