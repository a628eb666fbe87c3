"""Where training on either source gains nothing, whichever of the two is the better. Standard library only."""

from collections.abc import Sequence

from dpo_stages.report.decisions import NEITHER, NO_GAIN, Decision, cases, has_several_data_sets, pooled
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
    """For which initial policies and data sets training gains nothing; empty where an arm of each gains."""
    wholes = pooled(found)
    many_methods, several = len({one.off.method for one in wholes}) > 1, has_several_data_sets(wholes)
    said = []
    for verdict, ending in (
        (NEITHER, "both arms are worse than no training"),
        (NO_GAIN, "no interval of a gain lies above zero"),
    ):
        names = [_name(one, many_methods, several) for one in wholes if one.gainless == verdict]
        if names:
            said.append(f"{verdict[0].upper()}{verdict[1:]} ({ending}): {', '.join(names)}.")
    return " ".join(said)


def count(found: Sequence[Decision]) -> str:
    """For how many of them training gains nothing; empty where an arm of each gains."""
    wholes = pooled(found)
    verdicts = [one.gainless for one in wholes]
    said = [
        f"For {verdicts.count(verdict)} of {len(wholes)} {cases(wholes)} {words}."
        for verdict, words in (
            (NEITHER, f"both arms are worse than no training: {NEITHER}"),
            (NO_GAIN, f"{NO_GAIN} over no training"),
        )
        if verdict in verdicts
    ]
    return " ".join(said)


def _name(one: Decision, many_methods: bool, several: bool) -> str:
    """`Tiny Phi after PC_off`, of several data sets `Tiny Phi after PC_off (off.old against on)`."""
    row = one.off
    trained = "-".join(f"PC_{source}" for source in row.history[:-1])
    name = f"{row.model_label}{f' after {trained}' if trained else ''}{f' with {row.method_label}' if many_methods else ''}"
    return f"{name} ({one.pair})" if several else name
