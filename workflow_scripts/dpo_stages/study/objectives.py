"""Which settings a preference loss takes, and which go together. Standard library only."""

ORIGINAL_SLIC = "slic-original"

SMOOTHED = ("robust", "exo_pair")
"""Losses that are defined by their label smoothing."""

MAY_BE_SMOOTHED = ("aot", "aot_unpaired")

SORTED = ("aot", "aot_unpaired")
"""Losses that compare sorted log-ratios, in which no pair keeps a weight of its own."""


def why_not(
    loss: str,
    delta: float | None = None,
    sft_weight: float | None = None,
    label_smoothing: float | None = None,
    use_weighting: bool = False,
) -> str | None:
    """What is wrong with the settings of a loss, with what to do about it; None as a rule.

    Some of it TRL's DPOTrainer refuses as well; the rest it would leave out without a word, or break down on.

    Args:
        loss: its name.
        delta: margin of `ORIGINAL_SLIC`.
        sft_weight: weight of a supervised term.
        label_smoothing: probability that a label is wrong.
        use_weighting: whether pairs are weighted by how likely the policy is to say them.
    """
    if loss == ORIGINAL_SLIC and (delta is None or sft_weight is None):
        return f"{ORIGINAL_SLIC} needs delta and sft_weight"
    if loss != ORIGINAL_SLIC and delta is not None:
        return f"delta belongs to {ORIGINAL_SLIC} alone; take it out"
    if loss in SMOOTHED and label_smoothing is None:
        return f"{loss} needs label_smoothing, such as {0.001 if loss == 'exo_pair' else 0.1}"
    if loss not in SMOOTHED + MAY_BE_SMOOTHED and label_smoothing is not None:
        return f"{loss} takes no label_smoothing; leave it out, or take one of {', '.join(SMOOTHED + MAY_BE_SMOOTHED)}"
    if use_weighting and loss in SORTED:
        return f"{loss} sorts pairs, so that none has a weight of its own; leave use_weighting out"
    if use_weighting and loss == ORIGINAL_SLIC:
        return f"{ORIGINAL_SLIC} has no use_weighting; leave it out, or take hinge"
    if use_weighting and sft_weight:
        return "use_weighting weighs pairs, and the SFT term is one number for all of them; leave one of the two out"
    return None
