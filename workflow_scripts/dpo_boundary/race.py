"""A race: which of several training sources makes the better policy, decided early in training.

Arms, one a source, are trained from one initial policy on nested shares of an epoch, each in several runs. At each look a
yardstick says for every pair of arms that are still in, in each run and on each held-out prompt, whose response is better.
An arm that another one beats decidedly is out; the race is decided when one arm is left.

    >>> from dpo_boundary import decide_race
    >>> votes = {"prompt_id": range(200), "arm_1": ["off"] * 200, "arm_2": ["on"] * 200}
    >>> race = decide_race(votes | {"arm_1_preferred": [1, 1, 1, 1, 0] * 40}, shares=[0.05, 0.1])
    >>> race.winner, race.looks[0].prompts, race.out["on"].by
    ('off', 40, 'off')

What is held: with a probability of `confidence` at least, no arm that is as good as the one that beats it, or better, is
ever put out, whatever number of prompts and looks the race stops after. As good means that over all prompts, and all runs
of the training on that share of an epoch, the yardstick prefers its responses as often; what a longer training makes of it
is another question. The error is spent on the announced looks in proportion to their shares of an epoch, so that a look
does not depend on whether a later one comes, and evenly on the pairs of the starting arms (Bonferroni's bound). A pair's
interval combines a betting sequence over prompts with the variance between runs (`race_intervals`) in quadrature, which is
not exact: `benchmarks/race.py` shows how often it is wrong.
"""

import math
from collections.abc import Sequence

from dpo_boundary.errors import BadInput
from dpo_boundary.race_columns import DECIMALS, ONLY_LOOK, ArmTable, arrays_at, as_arm_comparisons
from dpo_boundary.race_look import Rules, look_at
from dpo_boundary.race_result import Out, Race, RaceLook, notes_on, reason_of
from dpo_boundary.result import DECIDED, UNDECIDED

# What is expected of the runs of a pair before any were seen, in points of its score, and what that is worth: of the priors
# that benchmarks/race.py tried, the one with most power of those that hold their word where runs differ by up to 4 points.
RUN_SD, RUN_DF = 3.0, 4.0


def decide_race(
    comparisons: ArmTable,
    *,
    shares: Sequence[float] = (),
    confidence: float = 0.95,
    seed: int = 0,
    run_sd: float = RUN_SD,
    run_df: float = RUN_DF,
    length_controlled: bool = False,
) -> Race:
    """Decide a race as far as its comparisons go.

    Args:
        comparisons: one row a comparison, as the name of a file, a mapping of columns, a data frame, a table of Arrow or a list
            of mappings. Columns: prompt_id;
            arm_1 and arm_2, in either order; arm_1_preferred in [0, 1], such as the mean over both orders of
            presentation; optionally run (default: one), share of an epoch (default: the first of `shares`), and
            length_1 with length_2, for adjusted scores. Each look has the same prompts for all pairs and runs of the
            arms that are still in; other arms need none.
        shares: of an epoch, all the looks that may come. Without it the looks that are there are taken for all.
        confidence: in (0, 1).
        seed: of the order in which prompts are bet on.
        run_sd: standard deviation of a pair's score over runs that is expected, in points.
        run_df: degrees of freedom that the expectation is worth; the more, the less the measured one counts.
        length_controlled: decide on scores between responses of one length.

    Raises:
        BadInput: the comparisons are not what they should be or incomplete, a look was not announced, or a setting is
            out of its range.
    """
    announced = _in_order(shares)
    table = as_arm_comparisons(comparisons, announced[0] if announced else ONLY_LOOK)
    given = table.shares()
    arms = left = tuple(table.arms_at(given[0]))
    rules = Rules(announced or given, len(arms), confidence, run_sd, run_df, length_controlled)
    looks: list[RaceLook] = []
    ignored = 0
    for share in given:
        if late := set(table.arms_at(share)) - set(arms):
            raise BadInput(
                f"arm {min(late)} appears after {share:g} of an epoch, but not after {given[0]:g}; all arms start together"
            )
        if len(left) == 1:
            ignored += int((table.share == share).sum())
            continue
        looks.append(look_at(arrays_at(table, share, left, seed), share, left, rules))
        left = looks[-1].left
        ignored += looks[-1].ignored
    leader = looks[-1].leader(length_controlled)
    return Race(
        arms=arms,
        looks=tuple(looks),
        shares=tuple(rules.shares),
        out={arm: Out(look.share, by) for look in looks for arm, by in look.out.items()},
        leader=leader,
        winner=leader if len(left) == 1 else None,
        verdict=DECIDED if len(left) == 1 else UNDECIDED,
        reason=reason_of(looks[-1], rules.shares),
        confidence=confidence,
        length_controlled=length_controlled,
        run_sd=run_sd,
        run_df=run_df,
        ignored=ignored,
        notes=tuple(notes_on(looks, bool(announced), run_sd, ignored)),
    )


def decide_look(
    comparisons: ArmTable,
    *,
    shares: Sequence[float],
    starting_arms: int,
    confidence: float = 0.95,
    seed: int = 0,
    run_sd: float = RUN_SD,
    run_df: float = RUN_DF,
    length_controlled: bool = False,
) -> RaceLook:
    """One look of a race, while its comparisons are still being made.

    Compare the prompts of `blocks.nested_blocks` block by block, with the race's seed, and stop as soon as the look has
    no `open_pairs`: `decide_race` says the same of these blocks as of all prompts.

    Args:
        comparisons: as `decide_race` takes them, of one look, among the arms that are still in.
        shares: of an epoch, all the looks that may come.
        starting_arms: how many arms the race began with.
        confidence: as for `decide_race`, and so are the others.

    Raises:
        BadInput: see `decide_race`.
    """
    announced = _in_order(shares)
    table = as_arm_comparisons(comparisons, announced[0] if announced else ONLY_LOOK)
    given = table.shares()
    if len(given) > 1 or len(table.arms) > starting_arms:
        raise BadInput(
            f"the comparisons are of {len(given)} shares of an epoch and {len(table.arms)} arms; a look has one share, and "
            f"no more arms than the {starting_arms} that started"
        )
    rules = Rules(announced or given, starting_arms, confidence, run_sd, run_df, length_controlled)
    return look_at(arrays_at(table, given[0], table.arms, seed), given[0], table.arms, rules)


def _in_order(shares: Sequence[float]) -> list[float]:
    """The announced shares of an epoch, smallest first."""
    announced = sorted(round(float(share), DECIMALS) for share in shares)
    if len(set(announced)) < len(announced) or not all(0 < share < math.inf for share in announced):
        raise BadInput(
            f"the announced shares are {announced}; give the share of an epoch of each look once, such as 0.05"
        )
    return announced
