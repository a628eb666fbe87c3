"""Make a table of policies, as the paper's Tables 1 to 5: tidy CSV and Markdown in the paper's layout.

The rows are, for each model, method and seed, the SFT policy and the policies of --histories with their replicates. The CSV
has every column, whatever Markdown shows. Gains and Δ are computed here, with intervals where compute_win_rate.py left its
resamples beside the win rates; those of several runs hold that another run gives another policy. Which arm is better is said
on three yardsticks: by the preference model that labels (--arms), by win rate and by length-controlled win rate, of which the
plain one leads where --length-control says that the other is not valid, and stands alone where there is none. Where --held-out has
that preference model right less often than whoever takes the longer response, the caption says so. With --capabilities the accuracy
on tasks stands beside win rates, and where a gain by the judge goes with a loss there that is said. Win rates of two judges, or
boundary scores under two preference models, never meet in one table.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.arguments import positive_int, seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report import baselines, decisions, opinions, tallies
from dpo_stages.report.policy_rows import build_rows
from dpo_stages.report.policy_table import COLUMNS, table
from dpo_stages.report.records import by_policy, one_judge
from dpo_stages.report.row_figures import NO_LENGTH_CONTROL
from dpo_stages.report.runs import Contrast, with_runs
from dpo_stages.report.table import table_parser
from dpo_stages.report.writing import labels
from dpo_stages.report.yardsticks import leading

if TYPE_CHECKING:
    from dpo_stages.evaluation.verdicts import Verdict


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--table", required=True, metavar="NAME", help="name of the table, such as table3")
    add("--models", required=True, nargs="+", metavar="NAME=LABEL", help="models in the table's order")
    add("--methods", required=True, nargs="+", metavar="NAME=LABEL", help="methods in the table's order")
    add("--suffixes", nargs="+", default=[], metavar="NAME", help="of preference data and model, behind a model's name")
    add("--seeds", nargs="+", type=seed, default=[0], help="seeds; the first has the plain names (default: 0)")
    add("--replicates", type=positive_int, default=1, metavar="N", help="runs of each trained policy (default: 1)")
    add("--histories", required=True, nargs="+", metavar="SOURCE-SOURCE", help="candidate sources of each policy")
    add("--columns", nargs="*", choices=COLUMNS, default=[], help="what Markdown shows besides win rates")
    add("--win-rates", required=True, nargs="+", type=Path, metavar="FILE", help="win_rate.json of every policy")
    add("--boundaries", nargs="+", type=Path, metavar="FILE", help="boundary measurements of the initial policies")
    add("--arms", nargs="+", type=Path, default=[], metavar="FILE", help="of compare_arms.py, for all pairs of arms")
    add("--length-control", type=Path, metavar="JSON", help="whether length control is valid for these instructions")
    add("--notes", nargs="+", default=[], metavar="TEXT", help="sentences for the caption")
    baselines.add_held_out_flag(parser)
    add("--traces", nargs="+", type=Path, metavar="FILE", help="of policies with auto, or whose costs are wanted")
    add(
        "--capabilities",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="of measure_capabilities.py, every policy's",
    )
    add("--second-opinions", nargs="+", type=Path, default=[], metavar="FILE", help="boundary measurements by others")
    add("--decisions", type=Path, metavar="OUT.csv", help="which arm was recommended and which was better")
    arguments = parser.parse_args()
    if arguments.decisions and not arguments.boundaries:
        parser.error("--decisions needs --boundaries")
    if arguments.second_opinions and not arguments.boundaries:
        parser.error("--second-opinions needs --boundaries")
    return arguments


def paired_gains(win_rates: dict[str, dict], read: Callable) -> Callable[[str, str], dict]:
    """What gives the intervals of the differences between two policies of one run."""
    from dpo_stages.evaluation.gains import paired_gain

    return cache(lambda policy, other: paired_gain(*(win_rates[name]["file"] for name in (policy, other)), read))


def intervals_over_runs(
    win_rates: dict[str, dict], read: Callable, arms: dict[tuple[str, str], "Verdict"]
) -> Callable[[str, Sequence[Contrast]], list[tuple[float, float]]]:
    """What gives the intervals of a figure's differences between policies over several runs."""
    from dpo_stages.evaluation.gains import gains_over_runs
    from dpo_stages.evaluation.verdicts import verdicts_over_runs

    def intervals(figure: str, contrasts: Sequence[Contrast]) -> list[tuple[float, float]]:
        if figure == "verdict":
            return verdicts_over_runs([[[arms[pair] for pair in run] for run in runs] for runs in contrasts])
        files = [
            [[tuple(policy and win_rates[policy]["file"] for policy in pair) for pair in run] for run in runs]
            for runs in contrasts
        ]
        return gains_over_runs(files, figure, read)

    return intervals


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json, write_text
    from dpo_stages.evaluation.gains import read_evaluation, resamples_path
    from dpo_stages.evaluation.length_validity import read_length_control
    from dpo_stages.evaluation.verdicts import read_verdict
    from dpo_stages.report.capabilities import read_capabilities

    def read(paths: list[Path] | None, what: str) -> dict[str, dict] | None:
        if paths is None:
            return None
        return by_policy(((path, read_json(path)) for path in dict.fromkeys(paths)), what)

    histories = [tuple(history.split("-")) for history in arguments.histories]
    win_rates = read(arguments.win_rates, "win rate")
    models, methods = labels(arguments.models), labels(arguments.methods)
    if len(models) < len(arguments.models) or len(methods) < len(arguments.methods):
        raise BadInput("--models or --methods has a name twice; give each once")
    boundaries = read(arguments.boundaries, "boundary score")
    traces = read(arguments.traces, "trace")
    valid, notes = read_length_control(arguments.length_control)
    if all(record.get("lc_kind") == NO_LENGTH_CONTROL for record in win_rates.values()):
        valid = False  # the plain win rate leads
    arms = {one.arms: one for one in map(read_verdict, dict.fromkeys(arguments.arms))}

    def verdict(off: str, on: str) -> tuple[float, tuple[float, float]]:
        if (off, on) not in arms:
            raise BadInput(f"the comparison of {off} with {on} is missing; give its file to --arms too")
        return arms[off, on].percent, arms[off, on].interval

    resampled = any(resamples_path(record["file"]).exists() for record in win_rates.values())
    read_once = cache(read_evaluation)
    rows = build_rows(
        models,
        methods,
        arguments.seeds,
        histories,
        win_rates,
        boundaries,
        paired_gains(win_rates, read_once) if resampled else None,
        traces,
        arguments.suffixes,
        arguments.replicates,
        verdict if arms else None,
        valid,
    )
    if resampled:
        rows = with_runs(rows, intervals_over_runs(win_rates, read_once, arms))
    found = decisions.decisions(rows)
    measured, asked = read_capabilities(arguments.capabilities), opinions.read_opinions(arguments.second_opinions)
    notes += [*arguments.notes, *baselines.cautions(map(baselines.read_held_out, arguments.held_out))]
    made = table(arguments.table, rows, arguments.columns, notes, measured, asked)
    if arguments.decisions:
        write_text(arguments.decisions, decisions.decisions_table(found, one_judge(map(vars, rows))).csv())
    made.write(arguments.csv)
    used = {name for row in rows for name in (row.resolved_policy, row.initial_policy)}
    figures = {}
    if arguments.boundaries:
        figures["better_arm_picked"] = tallies.tally(found, leading(valid)).words()
    finish(
        arguments.csv,
        rows_in=len(win_rates),
        rows_out=len(rows),
        dropped={"not of this table": len(win_rates.keys() - used)},
        **figures,
    )


if __name__ == "__main__":
    run(main)
