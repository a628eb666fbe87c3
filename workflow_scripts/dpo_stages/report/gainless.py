"""Where training on either source gains nothing, whichever of the two is the better. Standard library only."""

from collections.abc import Sequence

from dpo_stages.report.decisions import NEITHER, NO_GAIN, Decision, pooled
from dpo_stages.report.yardsticks import described


def words(one: Decision) -> str:
    """That training on either gains nothing, and what that rests on; empty where an arm is shown to gain."""
    if one.gainless is None:
        return ""
    by = f"By {described(one.leading, one.off.lc_valid)}"
    if one.gainless == NO_GAIN:
        return f"{by} {NO_GAIN} over no training; more runs or instructions may."
    other = "other instructions and runs" if len(one.off_rows) > 1 else "other instructions, in one run an arm"
    return f"{by} {NEITHER}: both arms are worse than no training, beyond what would come of {other}."


def sentence(found: Sequence[Decision]) -> str:
    """For which initial policies training gains nothing; empty where an arm of each gains."""
    wholes = pooled(found)
    many_methods = len({one.off.method for one in wholes}) > 1
    said = []
    for verdict, ending in (
        (NEITHER, "both arms are worse than no training"),
        (NO_GAIN, "no interval of a gain lies above zero"),
    ):
        names = [_name(one, many_methods) for one in wholes if one.gainless == verdict]
        if names:
            said.append(f"{verdict[0].upper()}{verdict[1:]} ({ending}): {', '.join(names)}.")
    return " ".join(said)


def count(found: Sequence[Decision]) -> str:
    """For how many initial policies training gains nothing; empty where an arm of each gains."""
    wholes = pooled(found)
    verdicts = [one.gainless for one in wholes]
    said = [
        f"For {verdicts.count(verdict)} of {len(wholes)} initial policies {words}."
        for verdict, words in (
            (NEITHER, f"both arms are worse than no training: {NEITHER}"),
            (NO_GAIN, f"{NO_GAIN} over no training"),
        )
        if verdict in verdicts
    ]
    return " ".join(said)


def _name(one: Decision, many_methods: bool) -> str:
    """`Tiny Phi after PC_off`."""
    row = one.off
    trained = "-".join(f"PC_{source}" for source in row.history[:-1])
    return f"{row.model_label}{f' after {trained}' if trained else ''}{f' with {row.method_label}' if many_methods else ''}"
