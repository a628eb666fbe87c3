"""Algorithm 1: which stage of alignment is a policy in, and which preference candidates should it train on next?

The responses of the policy (on-policy candidates) are compared with those of the preference data (off-policy
candidates), each with each, by a preference model. The boundary score is the share of comparisons that the policy's
own responses win,

    boundary score = V_on / (V_on + V_off),

where a tie gives half a vote to either side. Below 0.5 the policy is in the preference injection stage and off-policy
candidates are recommended; otherwise it is in the preference fine-tuning stage and on-policy candidates are. The
caption of the paper's Table 3 has V_off in the numerator; its Algorithm 1, its text and every number of its Tables 3,
4 and 5 need V_on, as here: Llama-3, which is said to be in preference fine-tuning, scores 0.62 and Phi-2 0.23.

The result is relative to the preference model and to the off-policy candidates. No torch and no workflow is needed:

    >>> from dpo_boundary import measure_boundary
    >>> result = measure_boundary({
    ...     "prompt_id": ["a", "a", "a", "a", "b", "b", "b", "b"],
    ...     "on_policy_preferred": [1, 0, 1, 0.5, 0, 0, 1, 0],
    ... })
    >>> result.boundary_score, result.stage, result.recommended_source
    (0.4375, 'preference injection', 'off')
    >>> result.verdict
    'undecided'

With `sequential=True` prompts are taken in a seeded order in growing blocks, and the measurement stops as soon as an
anytime-valid confidence sequence leaves 0.5 out. `measure_in_blocks` does so while candidates are still being sampled.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from dpo_boundary.blocks import block_ends, nested_blocks, positions
from dpo_boundary.comparisons import Comparisons, Table, as_comparisons, joined
from dpo_boundary.errors import BadInput, NoComparisons
from dpo_boundary.intervals import Interval, betting_sequence, clustered_interval, effective_prompts
from dpo_boundary.result import (
    BETTING,
    CLUSTERED,
    DECIDED,
    Block,
    BoundaryMeasurement,
    recommended_source,
    stage_of,
    verdict_of,
)

MANY_TRUNCATED = 0.05  # share of the on-policy responses above which a warning says so
FEW_EFFECTIVE = 0.5  # share of the prompts below which a warning says how few carry the score


def measure_boundary(
    comparisons: Table,
    *,
    confidence: float = 0.95,
    sequential: bool = False,
    seed: int = 0,
    policy: str = "policy",
    preference_model: str | None = None,
    preference_data: str | None = None,
) -> BoundaryMeasurement:
    """Measure the boundary score of a policy from comparisons that were made already (Algorithm 1, any m and n).

    Args:
        comparisons: one row a comparison, as the name of a file (see `reading`), a mapping of columns, a data frame, a table of
            Arrow, a list of mappings, or a list of votes alone, each about a prompt of its own. Columns: prompt_id;
            on_policy_preferred (1, 0, or 0.5 for a tie); optionally on_index and off_index (which candidates were
            compared; a pair that occurs twice is refused), order_flip, on_length with off_length, and on_truncated.
        confidence: level of the interval, in (0, 1).
        sequential: take the prompts block by block and stop as soon as the confidence sequence leaves out 0.5.
        seed: of the order in which a sequential measurement takes the prompts.
        policy: name of the policy, for the result.
        preference_model: name of what compared, for the result.
        preference_data: name of what the policy was compared with, for the result.

    Raises:
        BadInput: a column is missing, a value is not what it should be, there is nothing to measure, or a sequential
            measurement is asked for where prompts have different numbers of comparisons.
    """
    if not 0 < confidence < 1:
        raise BadInput(f"the confidence is {confidence}; it must lie between 0 and 1, as 0.95 does")
    comparisons = as_comparisons(comparisons)
    names = {"policy": policy, "preference_model": preference_model, "preference_data": preference_data}
    votes, counts = comparisons.by_prompt()
    if not sequential:
        interval = clustered_interval(votes, counts, confidence)
        return _measurement(comparisons, interval, confidence, CLUSTERED, _fixed_reason, **names)
    if counts.min() < counts.max():
        few = comparisons.prompt_ids[int(counts.argmin())]
        raise BadInput(
            f"a sequential measurement needs as many comparisons of each prompt, but prompt {few} has {counts.min()} "
            f"and others up to {counts.max()}; complete the comparisons or leave the prompt out"
        )
    order = np.array(positions(comparisons.prompt_ids, seed))
    blocks = _until_decided(votes[order] / counts[order], confidence)
    used = blocks[-1].prompts
    measured = _measurement(
        comparisons.where(np.isin(comparisons.prompt, order[:used])),
        blocks[-1].interval,
        confidence,
        BETTING,
        lambda decided: _sequential_reason(decided, used, len(order)),
        **names,
    )
    return replace(measured, budget=len(order), blocks=tuple(blocks))


def measure_in_blocks(
    prompt_ids: Iterable[str], compare: Callable[[list[str]], Table], *, seed: int = 0, **options: Any
) -> BoundaryMeasurement:
    """Sample and compare only until the stage is decided.

    The result is that of `measure_boundary(..., sequential=True)` on the comparisons of all prompts, of which only the
    blocks that were needed are made. Where prompts are left out, blocks end after other numbers of prompts and the budget counts
    all that were given, so it may stop a few prompts earlier or later; intervals hold wherever it does. Blocks are nested: a
    higher confidence or a larger set of prompts goes on from where a former measurement stopped, as long as its first
    blocks are the same.

    Args:
        prompt_ids: the budget.
        compare: makes the comparisons of the prompts of one block, as `measure_boundary` takes them. Prompts that cannot
            be compared, as those that leave no room for a response, are left out; of a block without any other it gives an
            empty table.
        seed: of the order in which prompts are taken.
        options: as for `measure_boundary`.

    Raises:
        BadInput: `compare` gave prompts that it was not asked for, or no comparison of any block.
    """
    prompt_ids = [str(prompt_id) for prompt_id in prompt_ids]
    made: list[Comparisons] = []
    for block in nested_blocks(prompt_ids, seed):
        try:
            compared = as_comparisons(compare(block))
        except NoComparisons:
            continue
        if not set(compared.prompt_ids) <= set(block):
            raise BadInput(f"comparisons of {len(block)} prompts were asked for, and others were made")
        made.append(compared)
        measured = measure_boundary(joined(made), sequential=True, seed=seed, **options)
        if measured.verdict == DECIDED:
            break
    if not made:
        raise NoComparisons(
            f"none of {len(prompt_ids):,} prompts could be compared, so there is nothing to measure; give others"
        )
    used = measured.prompts
    reason = _sequential_reason(measured.verdict == DECIDED, used, len(prompt_ids))
    return replace(measured, budget=len(prompt_ids), reason=reason)


def _until_decided(scores: np.ndarray, confidence: float) -> list[Block]:
    """Blocks up to the first whose interval leaves out 0.5, or all."""
    blocks = []
    for end in block_ends(len(scores)):
        (interval,) = betting_sequence(scores[:end], confidence, [end])
        blocks.append(Block(end, float(scores[:end].mean()), interval))
        if verdict_of(interval) == DECIDED:
            break
    return blocks


def _measurement(
    comparisons: Comparisons,
    interval: Interval,
    confidence: float,
    interval_method: str,
    reason: Callable[[bool], str],
    **names: str | None,
) -> BoundaryMeasurement:
    """The measurement on exactly these comparisons, whose interval is known."""
    votes_on, total = float(comparisons.preferred.sum()), len(comparisons)
    score = votes_on / total
    verdict = verdict_of(interval)
    order_flip_rate, longer_preferred, on_policy_longer = _biases(comparisons)
    on_policy_truncated = None if comparisons.on_truncated is None else float(comparisons.on_truncated.mean())
    return BoundaryMeasurement(
        boundary_score=score,
        interval=interval,
        confidence=confidence,
        prompts=len(comparisons.prompt_ids),
        comparisons=total,
        votes_on=votes_on,
        votes_off=total - votes_on,
        stage=stage_of(score),
        recommended_source=recommended_source(score),
        verdict=verdict,
        reason=reason(verdict == DECIDED),
        order_flip_rate=order_flip_rate,
        longer_preferred=longer_preferred,
        on_policy_longer=on_policy_longer,
        on_policy_truncated=on_policy_truncated,
        warnings=(
            *_warnings(score, order_flip_rate, longer_preferred, on_policy_longer, on_policy_truncated),
            *_unequal(comparisons),
        ),
        interval_method=interval_method,
        budget=len(comparisons.prompt_ids),
        **names,
    )


_UNDECIDED_MEANS = (
    "still holds 0.5: these prompts do not tell the two sources apart, more might, and the recommendation follows the "
    "score alone"
)


def _fixed_reason(decided: bool) -> str:
    return f"all prompts were compared, and the interval {'leaves out 0.5' if decided else _UNDECIDED_MEANS}"


def _sequential_reason(decided: bool, used: int, budget: int) -> str:
    if decided:
        return f"it stopped after {used:,} of {budget:,} prompts, as soon as the confidence sequence left out 0.5"
    return f"the budget of {budget:,} prompts is used up, and the confidence sequence {_UNDECIDED_MEANS}"


def _biases(comparisons: Comparisons) -> tuple[float | None, float | None, float | None]:
    """Order-flip rate, share of comparisons that the longer response wins, share whose on-policy one is longer."""
    order_flip_rate = longer_preferred = on_policy_longer = None
    if comparisons.order_flip is not None:
        order_flip_rate = float(comparisons.order_flip.mean())
    if comparisons.on_length is not None and comparisons.off_length is not None:
        longer = np.sign(comparisons.on_length - comparisons.off_length)
        if longer.any():
            on_policy_longer = float((longer[longer != 0] > 0).mean())
        winner = np.sign(comparisons.preferred - 0.5)
        clear = (longer != 0) & (winner != 0)
        if clear.any():
            longer_preferred = float((winner[clear] == longer[clear]).mean())
    return order_flip_rate, longer_preferred, on_policy_longer


def _warnings(
    score: float,
    order_flip_rate: float | None,
    longer_preferred: float | None,
    on_policy_longer: float | None,
    on_policy_truncated: float | None,
) -> Iterable[str]:
    """A warning only where a bias is large enough to have made the decision, or where many responses are unfinished."""
    if order_flip_rate is not None and order_flip_rate > abs(score - 0.5):
        yield (
            f"the order of presentation decides {order_flip_rate:.1%} of the comparisons, which is more than the "
            "score's distance from 0.5, so those comparisons alone could turn the decision"
        )
    if longer_preferred is not None and on_policy_longer is not None:
        bias = longer_preferred - 0.5
        pushes_on = bias * (on_policy_longer - 0.5) > 0
        if abs(bias) >= abs(score - 0.5) and pushes_on == (score >= 0.5) and on_policy_longer != 0.5:
            word = "longer" if bias > 0 else "shorter"
            yield (
                f"the {word} response wins {0.5 + abs(bias):.1%} of the comparisons between unequal lengths and "
                f"on-policy responses are the longer ones in {on_policy_longer:.1%}, so length alone could have made "
                "this decision"
            )
    if on_policy_truncated is not None and on_policy_truncated > MANY_TRUNCATED:
        yield (
            f"{on_policy_truncated:.1%} of the on-policy responses were cut at the limit of their length and compared "
            "unfinished, so a higher limit could change the score"
        )


def _unequal(comparisons: Comparisons) -> Iterable[str]:
    """A warning where few prompts have most of the comparisons."""
    _, counts = comparisons.by_prompt()
    effective = effective_prompts(counts)
    if effective < FEW_EFFECTIVE * len(counts):
        yield (
            f"prompts have {counts.min():,} to {counts.max():,} comparisons, so the score tells as much as one of {effective:.1f} "
            f"prompts with as many each, and not of {len(counts):,}; compare as many of each prompt"
        )
