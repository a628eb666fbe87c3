"""Tables of policies: which belong into one, what they gained, and how the table is written. Standard library only.

A table holds, for each model, seed and method, the SFT policy and the policies of a set of histories. Gains and Δ are
computed here from the win rates (see `arms`), never read from anywhere. Each seed is a run of the whole study, each replicate
one of a policy's last training and its evaluation.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_csv
from dpo_stages.report import row_figures
from dpo_stages.report.arms import Interval
from dpo_stages.report.records import find, require_same
from dpo_stages.study import arms
from dpo_stages.study.policies import Policy
from dpo_stages.study.replicates import with_replicates

History = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One policy of a table. Win rates and gains are in percent and percentage points, lengths in characters.

    Beside a figure X stand the ends of its interval, X_low and X_high, None if it was not measured. Intervals of this row's own
    figures hold which instructions were asked, and not that another run gives another policy. Those of `runs_…` hold both:
    they are of the mean over the runs of its model, method and history (see `runs`), and None where there is one run.

    The paper's own rows have neither lc_kind nor instructions, and a length where it prints one.

    Attributes:
        model: name of the base model, without the seed.
        model_label: its name in tables.
        method: preference optimisation method of the table; SFT policies appear under each.
        method_label: its name in tables.
        seed: seed of the replication.
        replicate: number of the run of its last training under that seed; 1 for the SFT policy.
        history: candidate sources of the iterations, oldest first; empty for the SFT policy.
        policy: name of the policy.
        resolved_policy: the policy of the fixed history that it stands for where `auto` chose; else its own name.
        initial_policy: name of the policy that this one was trained from; None for the SFT policy.
        lc_win_rate: length-controlled win rate; None, as all that is made of it, where there is no length control.
        lc_valid: whether length control was found valid for these instructions; None if that was not tested, False as well
            where there is none.
        gain: LC win rate minus the initial policy's; None for the SFT policy.
        win_rate: win rate.
        win_rate_gain: win rate minus the initial policy's; None for the SFT policy.
        average_length: mean length of the outputs.
        boundary_score: of the initial policy; None for the SFT policy and where boundaries were not asked for.
        stage: stage of the initial policy.
        boundary_verdict: whether that is decided or undecided.
        recommended_source: candidate source that the stage recommends.
        delta: Δ of the initial policy, of LC win rates where there are any; None where it has no off-policy and on-policy arm or
            neither gains. Of a source of another data set than the preference data it is that of this data set, like the boundary
            score and all that follows (see `study/arms`).
        difference: gain of the off-policy arm minus gain of the on-policy arm; None where one is missing.
        win_rate_difference: the same of the win rate.
        verdict: percent of instructions on which the preference model prefers the off-policy arm's output to the on-policy
            arm's; None where it was not asked.
        runs: number of runs of its model, method and history.
        judge: name of the model that compared the outputs with the reference's.
        judge_version: what its endpoint calls it.
        judge_prompt: what it was asked.
        judge_endpoint: kind of its endpoint, see record.ENDPOINTS.
        lc_kind: difficulties that the length-controlled win rate stands on, see win_rate.LC_KINDS.
        instructions: number of instructions.
        truncated: outputs that were cut at the limit of their length; None if nobody counted.
        samples_drawn: responses of policies that the history needs; None without its trace.
        labels_made: pairs that the preference model compares for it; None without its trace.
    """

    model: str
    model_label: str
    method: str
    method_label: str
    seed: int
    replicate: int = 1
    history: History
    policy: str
    resolved_policy: str
    initial_policy: str | None = None
    lc_win_rate: float | None = None
    lc_low: float | None = None
    lc_high: float | None = None
    lc_valid: bool | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    win_rate: float
    win_rate_low: float | None = None
    win_rate_high: float | None = None
    win_rate_gain: float | None = None
    win_rate_gain_low: float | None = None
    win_rate_gain_high: float | None = None
    average_length: float | None = None
    boundary_score: float | None = None
    boundary_low: float | None = None
    boundary_high: float | None = None
    boundary_verdict: str | None = None
    stage: str | None = None
    recommended_source: str | None = None
    delta: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    win_rate_difference: float | None = None
    win_rate_difference_low: float | None = None
    win_rate_difference_high: float | None = None
    verdict: float | None = None
    verdict_low: float | None = None
    verdict_high: float | None = None
    runs: int = 1
    runs_lc_low: float | None = None
    runs_lc_high: float | None = None
    runs_gain_low: float | None = None
    runs_gain_high: float | None = None
    runs_difference_low: float | None = None
    runs_difference_high: float | None = None
    runs_win_rate_low: float | None = None
    runs_win_rate_high: float | None = None
    runs_win_rate_gain_low: float | None = None
    runs_win_rate_gain_high: float | None = None
    runs_win_rate_difference_low: float | None = None
    runs_win_rate_difference_high: float | None = None
    runs_verdict_low: float | None = None
    runs_verdict_high: float | None = None
    judge: str | None = None
    judge_version: str | None = None
    judge_prompt: str | None = None
    judge_endpoint: str | None = None
    lc_kind: str | None = None
    instructions: int | None = None
    truncated: int | None = None
    samples_drawn: int | None = None
    labels_made: int | None = None

    def interval(self, what: str) -> Interval | None:
        """The interval of `gain`, `boundary`, `verdict`, `runs_gain` or the like; None if it was not measured."""
        low, high = getattr(self, f"{what}_low"), getattr(self, f"{what}_high")
        return None if low is None or high is None else (low, high)


def named(
    model: str, seed: int, seeds: Sequence[int], method: str, history: History, suffixes: Sequence[str] = ()
) -> Policy:
    """The policy of a row, in its first run. The first of `seeds` keeps the plain name of the model."""
    seed = None if seed == seeds[0] else seed
    return Policy(model, seed, method if history else None, history, tuple(suffixes)).itself


def build_rows(
    models: Mapping[str, str],
    methods: Mapping[str, str],
    seeds: Sequence[int],
    histories: Sequence[History],
    win_rates: Mapping[str, dict],
    boundaries: Mapping[str, dict] | None,
    paired: Callable[[str, str], Mapping] | None = None,
    traces: Mapping[str, dict] | None = None,
    suffixes: Sequence[str] = (),
    replicates: int = 1,
    verdict: Callable[[str, str], tuple[float, Interval]] | None = None,
    lc_valid: bool | None = None,
) -> list[Row]:
    """The rows of a table: for each model, method and seed the SFT policy, then the policies of `histories` run by run.

    Args:
        models: names and labels.
        methods: names and labels.
        seeds: the study's seeds.
        histories: candidate sources of each policy, in the table's order.
        win_rates: contents of win_rate.json by policy, of all policies here and of those that they were trained from.
        boundaries: contents of results/boundary/*.json by policy, of all initial policies as they were asked the prompts of the
            data set that the source is of; None leaves them out.
        paired: gives the intervals of the differences of two policies' win rates, see gains.paired_gain; None leaves
            intervals of gains and differences out.
        traces: contents of results/traces/*.json by policy: of those that leave a source to `auto`, and of all whose
            costs are wanted.
        suffixes: of the preference data and the preference model, behind the model's name in those of policies.
        replicates: number of runs of each trained policy under each seed.
        verdict: gives the verdict on an off-policy and an on-policy arm, and its interval; None leaves verdicts out.
        lc_valid: whether length control is valid for these instructions; None if that was not tested.

    Raises:
        BadInput: a policy is missing, or the results come from different judges or preference models.
    """
    require_same(win_rates, ("judge", "lc_kind", "difficulties_fitted_over", "resampled_from"), "win rates")
    if boundaries is not None:
        of_one = {policy: one for policy, one in boundaries.items() if Policy.parse(policy).asked is None}
        require_same(of_one, ("preference_data",), "boundary scores")
        require_same(boundaries, ("preference_model", "confidence"), "boundary scores")
    rows = []
    for model, method, seed in itertools.product(models, methods, seeds):
        first_runs = [named(model, seed, seeds, method, history, suffixes) for history in ((), *histories)]
        policies = with_replicates(first_runs, replicates)
        stands_for = {policy: _resolved(policy, traces or {}) for policy in policies}
        held = arms.held(stands_for)
        for named_policy, policy in stands_for.items():
            initial = policy.initial if policy.history else None
            rows.append(
                Row(
                    model=model,
                    model_label=models[model],
                    method=method,
                    method_label=methods[method],
                    seed=seed,
                    replicate=policy.replicate or 1,
                    history=named_policy.history,
                    policy=str(named_policy),
                    resolved_policy=str(policy),
                    initial_policy=str(initial) if initial else None,
                    lc_valid=lc_valid,
                    **row_figures.gains(policy, win_rates, paired) if initial else {},
                    **row_figures.comparison(*held[policy], win_rates, paired, verdict) if policy in held else {},
                    **row_figures.evaluation(find(win_rates, policy, "win rate")),
                    **row_figures.boundary(find(boundaries, policy.taught, "boundary score"))
                    if initial and boundaries
                    else {},
                    **row_figures.costs(traces[str(named_policy)]) if traces and str(named_policy) in traces else {},
                )
            )
    return rows


def _resolved(policy: Policy, traces: Mapping[str, dict]) -> Policy:
    return Policy.parse(find(traces, policy, "trace")["resolved_policy"]) if policy.chooses else policy


def read_rows(path: Path) -> list[Row]:
    """The rows of a table from the CSV file that make_table.py wrote.

    Raises:
        BadInput: the file is missing, is no such table, or has no row.
    """
    kinds = {field.name: (get_args(field.type) or (field.type,))[0] for field in fields(Row) if field.name != "history"}
    parsers = {name: "True".__eq__ if kind is bool else kind for name, kind in kinds.items()}
    rows = []
    for line in read_csv(path, ["policy", *parsers]):
        history = tuple(source for name, source in line.items() if name.startswith("iter_") and source)
        try:
            values = {name: parse(line[name]) for name, parse in parsers.items() if line[name]}
            rows.append(Row(history=history, **values))
        except (TypeError, ValueError) as error:
            raise BadInput(f"{path}, the row of {line['policy']}: {error}; make the table again") from error
    return rows
