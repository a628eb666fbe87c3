"""What a study is going to cost, and what it has cost: GPU-hours, hours on some GPUs, disk, and the judge's price.

The jobs are those of a dry run of Snakemake, everything made anew; their seconds, GPUs, bytes and cents are the resources
that the rules compute from the sizes of models and data and from `resources` in the configuration. Where --benchmarks has
files of finished jobs, what they took stands beside it. One line a rule in the CSV; Markdown adds the whole, the runs of a
policy and what replicates take of it.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from dpo_stages.core.arguments import positive_int
from dpo_stages.core.files import read_text
from dpo_stages.core.program import finish, run
from dpo_stages.report.table import Grid, Table, table_parser
from dpo_stages.study.replicates import is_of_replicate
from dpo_stages.study.schedule import Job, critical_path, dry_run, gpu_seconds, makespan, read_jobs

COLUMNS = ("rule", "jobs", "gpus_a_job", "gpu_hours", "hours_a_job", "disk_gb", "dollars", "jobs_done", "hours_taken")


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    parser.add_argument("--snakefile", type=Path, required=True, metavar="FILE", help="of the workflow")
    parser.add_argument("--configuration", required=True, metavar="JSON", help="the study's whole configuration")
    parser.add_argument("--targets", nargs="+", required=True, metavar="FILE", help="what is to be made")
    parser.add_argument("--seeds", type=positive_int, required=True, metavar="N", help="number of the study's seeds")
    parser.add_argument("--replicates", type=positive_int, required=True, metavar="N", help="runs under each seed")
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 16, 32, 64], help="(default: 8 16 32 64)")
    parser.add_argument("--benchmarks", type=Path, required=True, metavar="FOLDER", help="results/benchmarks")
    parser.add_argument("--notes", nargs="+", default=[], metavar="TEXT", help="what else to know of the study")
    return parser.parse_args()


def seconds_taken(folder: Path, rule: str) -> list[float]:
    """Seconds of the finished jobs of a rule, from Snakemake's benchmark files."""
    files = sorted((folder / rule).rglob("*.jsonl"))
    return [float(json.loads(line)["s"]) for file in files for line in read_text(file).splitlines()]


def by_rule(jobs: list[Job], benchmarks: Path) -> list[dict]:
    """One row of `COLUMNS` a rule, the longest first, on GPUs or else in all."""
    groups: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.rule].append(job)
    rows = []
    for rule, members in sorted(groups.items(), key=lambda item: (-gpu_seconds(item[1]), -_seconds(item[1]), item[0])):
        taken = seconds_taken(benchmarks, rule)
        rows.append(
            {
                "rule": rule,
                "jobs": len(members),
                "gpus_a_job": max(job.of("gpu") for job in members),
                "gpu_hours": gpu_seconds(members) / 3600,
                "hours_a_job": sum(job.of("seconds") for job in members) / len(members) / 3600,
                "disk_gb": sum(job.of("disk_mb") for job in members) / 1000,
                "dollars": sum(job.of("cents") for job in members) / 100,
                "jobs_done": len(taken),
                "hours_taken": sum(taken) / 3600,
            }
        )
    return rows


def words_of_runs(jobs: list[Job], seeds: int, replicates: int) -> str:
    """How often each policy is trained, and what further replicates take: GPU-hours, or where there are none hours of jobs."""
    runs = seeds * replicates
    words = f"A trained policy has {runs} run{'s' if runs > 1 else ''} ("
    words += f"{seeds} seed{'s' if seeds > 1 else ''} x {replicates} replicate{'s' if replicates > 1 else ''})."
    if replicates == 1:
        return words
    further = [job for job in jobs if all(map(is_of_replicate, job.outputs))]
    unit, work = ("GPU-hours", gpu_seconds) if gpu_seconds(jobs) else ("hours of jobs", _seconds)
    whole, part = (work(some) / 3600 for some in (jobs, further))
    share = f" ({part / whole:.0%})" if whole else ""
    dollars = sum(job.of("cents") for job in further) / 100
    return (
        f"{words} The replicates after the first take {part:,.1f} of the {whole:,.1f} {unit}{share}"
        f"{f' and {dollars:,.2f} dollars' if dollars else ''}, in {len(further)} of {len(jobs)} jobs: they train and evaluate "
        "again, and share the rest."
    )


def _seconds(jobs: list[Job]) -> int:
    return sum(job.of("seconds") for job in jobs)


def table(jobs: list[Job], rows: list[dict], gpus: list[int], said: list[str]) -> Table:
    """The rows, the whole, and the hours on each number of GPUs beside the two bounds that no schedule beats."""
    done, on_gpus = any(row["jobs_done"] for row in rows), any(row["gpus_a_job"] for row in rows)
    left_out = () if done else ("jobs_done", "hours_taken")
    left_out += () if on_gpus else ("gpus_a_job", "gpu_hours")
    columns = [column for column in COLUMNS if column not in left_out]
    total = {column: sum(row[column] for row in rows) for column in columns if column != "rule"}
    total |= {"rule": "all", "hours_a_job": ""} | ({"gpus_a_job": ""} if on_gpus else {})
    lines = [[_short(row[column]) for column in columns] for row in (*rows, total)]
    longest, work = critical_path(jobs) / 3600, gpu_seconds(jobs) / 3600
    most = max(job.of("gpu") for job in jobs)
    schedule = []
    for number in gpus if on_gpus else ():
        if number >= most:
            hours, least = makespan(jobs, number) / 3600, max(longest, work / number)
            ratio = f"{hours / least:.2f}" if least else ""
            schedule.append([str(number), f"{hours:.1f}", f"{work / number:.1f}", f"{longest:.1f}", ratio])
    notes = "Expected from the sizes of models and data and from `resources` in the configuration"
    notes += "; hours taken are those of the finished jobs." if done else "."
    if not on_gpus:
        notes += f" No job takes a GPU: {_seconds(jobs) / 3600:.1f} hours of jobs one after the other, {longest:.1f} with cores for all."
    undecided = sum(job.rule == "make_decision" for job in jobs)
    if undecided:
        notes += (
            f" What hangs on {undecided} decisions of `auto` or more is known only when they are made, and not counted."
        )
    parts = [
        ("title", "What the study takes"),
        ("words", " ".join([notes, *said])),
        ("grid", Grid([column.replace("_", " ") for column in columns], lines)),
    ]
    if on_gpus:
        heads = ["GPUs", "hours", "no less than, for the work", "the longest chain", "ratio"]
        parts.append(("grid", Grid(heads, schedule)))
    rounded = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in rows
    ]
    return Table(rounded, parts)


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def main() -> None:
    arguments = parse_arguments()
    jobs = read_jobs(dry_run(arguments.snakefile, arguments.configuration, arguments.targets))
    rows = by_rule(jobs, arguments.benchmarks)
    runs = words_of_runs(jobs, arguments.seeds, arguments.replicates)
    table(jobs, rows, arguments.gpus, [runs, *arguments.notes]).write(arguments.csv)
    counts = {
        "gpu_hours": gpu_seconds(jobs) / 3600,
        "longest_chain_hours": critical_path(jobs) / 3600,
        "disk_gb": sum(row["disk_gb"] for row in rows),
        "dollars": sum(row["dollars"] for row in rows),
    }
    finish(arguments.csv, len(jobs), len(jobs), {}, **counts)


if __name__ == "__main__":
    run(main)
