"""The two arms of an initial policy: what each gained, and Δ.

An arm is one iteration from an initial policy with one candidate source. Its gain is the win rate, length-controlled or not, of
the trained policy minus that of the initial policy, in percentage points. Standard library only.
"""

import math

NOISE = "n.s."  # marks a gain over several runs whose interval does not leave out zero

Interval = tuple[float, float]


def gain(lc_win_rate: float, initial_lc_win_rate: float) -> float:
    """Gain of a policy over the policy that it was trained from, in percentage points."""
    return lc_win_rate - initial_lc_win_rate


def delta(off_gain: float, on_gain: float) -> float | None:
    """Δ: the gain of the off-policy arm as a multiple of the gain of the on-policy arm.

    ============== ============= =================================================================
    off-policy arm on-policy arm Δ
    ============== ============= =================================================================
    gains          gains         off_gain / on_gain
    does not gain  gains         off_gain / on_gain, which is zero or negative
    gains          does not gain +∞
    does not gain  does not gain none, shown as –: there are no gains to compare
    ============== ============= =================================================================

    The paper has no case of the second kind; the ratio there is at most 0, hence below 1, and so says what it says
    everywhere: above 1 the off-policy arm gained more, below 1 the on-policy arm did.
    """
    if on_gain > 0:
        return off_gain / on_gain
    return math.inf if off_gain > 0 else None


def format_delta(value: float | None) -> str:
    """Δ as the paper prints it: two decimals, +∞, –, and <0.01 for what is positive but less than that."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "+∞"
    return "<0.01" if 0 < value < 0.01 else f"{value:z.2f}"


def separated(interval: Interval | None) -> bool | None:
    """Whether the interval of a gain or difference over several runs leaves out zero; None if it was not measured."""
    return None if interval is None else bool(interval[0] > 0 or interval[1] < 0)  # of numpy's numbers too
