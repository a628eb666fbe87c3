"""Mixtures of on-policy and off-policy preference data: how many prompts take which, and which prompts.

Imports numpy through the boundary's seeded order of prompts; no torch.
"""

from collections.abc import Collection

from dpo_boundary.blocks import seeded_order


def blended_share(boundary_score: float) -> float:
    """Share of on-policy prompts that `blend` takes at a boundary score s: s² / (s² + (1 - s)²).

    A prompt trains with a pair, two candidates. Let each of two candidates of the policy meet one of the other source: s²
    is the probability that the policy wins both, (1 - s)² that the other source does. The share is how often it is the
    policy, given that one of them does. It is smooth and rises with s, needs no setting, is ½ on the boundary, treats the
    two sources alike (1 - share at 1 - s), and comes to one source alone where that one always wins. In between it lies
    nearer to Algorithm 1's switch at ½ than the score itself does: 0.23 gives 8 %, 0.4 31 % and 0.66 79 %.

    Args:
        boundary_score: in [0, 1].

    Raises:
        ValueError: it lies outside.
    """
    if not 0 <= boundary_score <= 1:
        raise ValueError(f"{boundary_score} is no boundary score")
    on, off = boundary_score**2, (1 - boundary_score) ** 2
    return on / (on + off)


def on_policy_prompts(on_policy: Collection[str], off_policy: Collection[str], share: float, seed: int) -> set[str]:
    """Which prompts take their on-policy pair; all others take the off-policy one, so no prompt stands there twice.

    Every prompt that has a pair of either source is kept. Those that only one source has a pair for, because the
    preference model saw no difference in the other's, stay with that source; the others are shared out in a seeded order
    until the share is reached, or as nearly as may be. A larger share takes the prompts of a smaller one and more.

    Args:
        on_policy: prompts that have an on-policy pair.
        off_policy: prompts that have an off-policy pair.
        share: wanted share of on-policy prompts among all, in [0, 1].
        seed: of the order.
    """
    on_policy, off_policy = set(on_policy), set(off_policy)
    alone = on_policy - off_policy
    wanted = round(share * len(on_policy | off_policy))
    return alone | set(seeded_order(on_policy & off_policy, seed)[: max(0, wanted - len(alone))])
