"""Make a table of policies, as the paper's Tables 1 to 5: tidy CSV and Markdown in the paper's layout.

The rows are, for each model, method and seed, the SFT policy and the policies of --histories with their replicates. The CSV
has every column, whatever Markdown shows. Gains and Δ are computed here, with intervals where compute_win_rate.py left its
resamples beside the win rates; those of several runs hold that another run gives another policy. Win rates of two judges, or
boundary scores under two preference models, never meet in one table.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from dpo_stages.core.arguments import positive_int, seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report import decisions
from dpo_stages.report.policy_rows import build_rows
from dpo_stages.report.policy_table import COLUMNS, table
from dpo_stages.report.records import by_policy, one_judge
from dpo_stages.report.runs import Contrast, with_runs
from dpo_stages.report.table import table_parser
from dpo_stages.report.writing import labels


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
    add("--traces", nargs="+", type=Path, metavar="FILE", help="of policies with auto, or whose costs are wanted")
    add("--decisions", type=Path, metavar="OUT.csv", help="which arm was recommended and which was better")
    arguments = parser.parse_args()
    if arguments.decisions and not arguments.boundaries:
        parser.error("--decisions needs --boundaries")
    return arguments


def paired_interval(win_rates: dict[str, dict]) -> Callable[[str, str], list[float]]:
    """What gives the interval of the difference between two policies of one run."""
    from functools import cache

    from dpo_stages.evaluation.gains import paired_gain

    @cache
    def interval(policy: str, other: str) -> list[float]:
        return paired_gain(*(win_rates[name]["file"] for name in (policy, other)))["lc_gain_interval"]

    return interval


def intervals_over_runs(win_rates: dict[str, dict]) -> Callable[[Sequence[Contrast]], list[tuple[float, float]]]:
    """What gives the intervals of differences between policies over several runs."""
    from dpo_stages.evaluation.gains import gains_over_runs

    def file(policy: str | None) -> str | None:
        return policy and win_rates[policy]["file"]

    return lambda contrasts: gains_over_runs([[(file(one), file(two)) for one, two in runs] for runs in contrasts])


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json, write_text
    from dpo_stages.evaluation.gains import resamples_path

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
    resampled = any(resamples_path(record["file"]).exists() for record in win_rates.values())
    interval = paired_interval(win_rates) if resampled else None
    rows = build_rows(
        models,
        methods,
        arguments.seeds,
        histories,
        win_rates,
        boundaries,
        interval,
        traces,
        arguments.suffixes,
        arguments.replicates,
    )
    if resampled:
        rows = with_runs(rows, intervals_over_runs(win_rates))
    found = decisions.decisions(rows)
    counted = decisions.tally(found) if arguments.boundaries else None
    if arguments.decisions:
        write_text(arguments.decisions, decisions.decisions_table(found, one_judge(map(vars, rows))).csv())
    table(arguments.table, rows, arguments.columns).write(arguments.csv)
    used = {name for row in rows for name in (row.resolved_policy, row.initial_policy)}
    figures = {"better_arm_picked": f"{counted.right} of {counted.judged}"} if counted else {}
    finish(
        arguments.csv,
        rows_in=len(win_rates),
        rows_out=len(rows),
        dropped={"not of this table": len(win_rates.keys() - used)},
        **figures,
    )


if __name__ == "__main__":
    run(main)
