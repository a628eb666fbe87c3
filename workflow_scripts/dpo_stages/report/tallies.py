"""How often the boundary score picked the better arm, on each yardstick. Standard library only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dpo_stages.report.decisions import Decision, has_several_data_sets, pooled
from dpo_stages.report.table import Grid
from dpo_stages.report.yardsticks import Yardstick, described, labelled, yardsticks
from dpo_stages.study.policies import OFF

ONE_RUN = (
    "With one run an arm, no arm is told from the other beyond the noise of training, so nothing here says whether the boundary "
    "score picks the better one: several runs may (`replicates` or `seeds`)."
)
NONE_APART = "Runs tell no arm from the other, so nothing here says whether the boundary score picks the better one."


@dataclass(frozen=True)
class Tally:
    """How often the boundary score picked the better arm on one yardstick.

    Attributes:
        right: decisions whose recommended arm is ahead, be it within noise.
        judged: decisions of which an arm is ahead.
        separated: initial policies and data sets, each with all runs, whose arms several runs tell apart; None with one run,
            which cannot tell.
        separated_right: those of them whose mean boundary score recommends the better arm.
        separated_off: those of them whose better arm is the off-policy one, which is what always training on it would pick.
    """

    right: int
    judged: int
    separated: int | None
    separated_right: int
    separated_off: int

    def words(self) -> str:
        """`for 1 of 2 that runs tell apart`."""
        if not self.separated:
            return f"for none, as {'one run tells' if self.separated is None else 'runs tell'} no arm apart"
        return f"for {self.separated_right} of {self.separated} that runs tell apart"

    def cell(self) -> str:
        """`3 of 9, 1 of 2*`, where the star stands for what runs tell apart."""
        if not self.judged:
            return "–"
        of_runs = "" if self.separated is None else f", {self.separated_right} of {self.separated}*"
        return f"{self.right} of {self.judged}{of_runs}"


def tally(found: Sequence[Decision], yardstick: Yardstick) -> Tally:
    """Count how often the boundary score picked the better arm.

    There is no interval: initial policies of one model descend from each other and are no independent cases.
    """
    measured = [one for one in found if one.compared(yardstick) is not None]
    judged = [one for one in measured if one.better(yardstick) is not None]
    of_runs = [one for one in pooled(measured) if one.separated(yardstick) is not None]
    apart = [one for one in of_runs if one.separated(yardstick)]
    return Tally(
        right=sum(one.right(yardstick) for one in judged),
        judged=len(judged),
        separated=len(apart) if of_runs else None,
        separated_right=sum(bool(one.right(yardstick)) for one in apart),
        separated_off=sum(one.better(yardstick) == OFF for one in apart),
    )


def measured_with(found: Sequence[Decision]) -> list[Yardstick]:
    """The yardsticks that any of the decisions has."""
    return [of for of in yardsticks(lc_valid(found)) if any(one.compared(of) is not None for one in found)]


def lc_valid(found: Sequence[Decision]) -> bool | None:
    """Whether length control is valid for what was found; False if it is not for some of it."""
    known = {one.off.lc_valid for one in found}
    return False if False in known else known.pop() if len(known) == 1 else None


def sentence(found: Sequence[Decision]) -> str:
    """The tally on every yardstick in words, of what runs tell apart alone, and how many scores are undecided."""
    if not found:
        return "No initial policy has both an off-policy and an on-policy arm."
    counted = {of: tally(found, of) for of in measured_with(found)}
    words = [_picked({of: one for of, one in counted.items() if one.separated is not None}, found)]
    if undecided := sum(one.decided is False for one in found):
        words.append(f"The score itself is undecided for {undecided} of {len(found)}.")
    models = {one.off.model for one in found}
    if len(models) < len(found):
        several = has_several_data_sets(found)
        words.append(
            f"These are {len(found)} {'pairs of arms' if several else 'policies'} of {len(models)} model{'s' if len(models) > 1 else ''}, "
            f"which {'share arms on own samples or ' if several else ''}descend from each other: they are no independent cases."
        )
    return " ".join(words)


def _picked(counted: Mapping[Yardstick, Tally], found: Sequence[Decision]) -> str:
    """How often the score picked the better arm, by the yardsticks that several runs were held against."""
    apart, valid = {of: one for of, one in counted.items() if one.separated}, lc_valid(found)
    if not apart:
        return NONE_APART if counted else ONE_RUN
    picked = [f"{one.separated_right} of {one.separated} by {described(of, valid)}" for of, one in apart.items()]
    off = ", ".join(str(one.separated_off) for one in apart.values())
    on = ", ".join(str(one.separated - one.separated_off) for one in apart.values())
    nowhere = [f"by {described(of, valid)}" for of, one in counted.items() if not one.separated]
    of_what = "pairs of arms that" if has_several_data_sets(found) else "initial policies whose arms"
    return (
        f"Of the {of_what} runs tell apart, the boundary score picked the better arm for "
        f"{', '.join(picked)}; always off-policy data would have picked it for {off}, always on-policy samples for {on}."
        + (f" Runs tell no arms apart {', '.join(nowhere)}." if nowhere else "")
    )


def grid(found: Sequence[Decision]) -> Grid | None:
    """The tally over all, and by method, model, iteration and data set; None where there is one of each."""
    several = has_several_data_sets(found)
    groups: dict[str, list[Decision]] = {"all": [*found]}
    for one in found:
        row = one.off
        for group in (row.method_label, row.model_label, f"iteration {len(row.history)}", *[one.off_source] * several):
            groups.setdefault(group, []).append(one)
    if len(groups) <= 4 + several:
        return None
    if several:  # one alone stands above already, and what all share is the first line
        groups = {group: of for group, of in groups.items() if group == "all" or 1 < len(of) < len(found)}
    shown = measured_with(found)
    lines = []
    for group, members in sorted(groups.items(), key=lambda item: (item[0] != "all", item[0])):
        lines.append([group, *(tally(members, of).cell() for of in shown)])
    valid = lc_valid(found)
    return Grid(["Recommended arm ahead, by", *(labelled(of, valid) for of in shown)], lines)


COMPARED = (
    "the arm that is ahead, and in percent of instructions how often the preference model prefers the off-policy arm's output to the "
    "on-policy arm's, or in points the gain with off-policy data less that with on-policy data, with 95 % intervals; "
    "*: several runs tell the arms apart."
)
OF_SEVERAL = (
    "BS: of off the score against the first data set, of off.NAME that against NAME. An arm on off.NAME is held against one on own "
    "samples for the prompts of NAME (on.NAME) where the table has it, else against the one on those for the prompts of the first (on)."
)


def compared_words(found: Sequence[Decision]) -> str:
    """What stands in the cells of `compared_grid`."""
    return f"{COMPARED} {OF_SEVERAL}" if has_several_data_sets(found) else COMPARED


def compared_grid(found: Sequence[Decision]) -> Grid:
    """The off-policy arm against the on-policy arm for each initial policy and data set, all runs in one, on every yardstick.

    A star marks what several runs tell apart.
    """
    shown, valid = measured_with(found), lc_valid(found)
    many_methods, several = len({one.off.method for one in found}) > 1, has_several_data_sets(found)
    lines = []
    for one in pooled(found):
        row = one.off
        named = [row.model_label, *([row.method_label] if many_methods else [])]
        named.append("-".join(f"PC_{source}" for source in row.history[:-1]) or "SFT")
        named += [one.pair] * several
        lines.append(
            [*named, f"{one.boundary_score:.2f}", one.recommendation, *(compared_cell(one, of) for of in shown)]
        )
    columns = ["Model", *["Method"] * many_methods, "Initial policy", *["Arms"] * several, "BS", "Recommended"]
    return Grid([*columns, *(f"{labelled(of, valid)}, {of.unit}" for of in shown)], lines)


def compared_cell(one: Decision, of: Yardstick) -> str:
    """`+1.23 (-0.50 to +2.96)`, with a star if several runs tell the arms apart; `off` or `on` first: the better arm."""
    compared, interval = one.compared(of), one.interval(of)
    if compared is None:
        return "–"
    sign, digits = ("", 1) if of.gain is None else ("+", 2)
    text = f"{one.better(of) or 'equal'} {compared:{sign}.{digits}f}"
    text += f" ({interval[0]:{sign}.{digits}f} to {interval[1]:{sign}.{digits}f})" if interval else ""
    return text + ("*" if one.separated(of) else "")
