"""The demo's Table 3 through SLURM beside the same on this machine alone: envs/run workflow benchmarks/slurm.py

Both runs have two jobs at a time, one after the other, on a machine that should do nothing else: CPU seconds are those of
the whole machine. SLURM is the one of tests/slurm, on loopback; Snakemake asks it about its jobs every second there, where
the plugin itself would wait for up to three minutes. Prints Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/slurm"))

from cluster import Cluster  # noqa: E402
from conftest import TABLE, Study  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def machine() -> float:
    """CPU seconds that all processes of this machine have taken since it was started."""
    user, nice, system, *_ = map(int, Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:])
    return (user + nice + system) / TICKS


def daemons(cluster: Cluster) -> float:
    """CPU seconds of SLURM's own processes, without those of the jobs."""
    stats = [
        Path(f"/proc/{one.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        for one in cluster.daemons.values()
    ]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICKS


def timed(run: Callable[[], int]) -> tuple[float, float]:
    """Seconds and the machine's CPU seconds of a run, which must end well."""
    began, used = time.monotonic(), machine()
    if code := run():
        raise SystemExit(f"a run failed with exit code {code}")
    return time.monotonic() - began, machine() - used


def timeline(jobs: list[dict[str, str]]) -> Iterator[tuple[str, float, float, float]]:
    """Rule, and when each job was submitted, started and ended, in seconds; SLURM tells whole ones."""
    for job in jobs:
        moments = (datetime.fromisoformat(job[name]).timestamp() for name in ("SubmitTime", "StartTime", "EndTime"))
        yield job["rule"], *moments


def program_seconds(results: Path) -> dict[str, list[float]]:
    """What the benchmark files say of each rule's programs."""
    found: dict[str, list[float]] = {}
    for path in sorted(results.glob("benchmarks/**/*.jsonl")):
        rule = path.relative_to(results / "benchmarks").parts[0]
        found.setdefault(rule, []).extend(json.loads(line)["s"] for line in path.read_text().splitlines())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overlay", nargs="*", default=[], metavar="YAML", help="on top of the demo's configuration")
    overlays = ["demo/config.yaml", *(Path(path).resolve() for path in parser.parse_args().overlay)]
    with tempfile.TemporaryDirectory() as folder, Cluster() as cluster:
        alone, through = (Path(folder) / name for name in ("alone", "slurm"))
        for place in (alone, through):
            place.mkdir()
        reference = Study.fresh(alone, cluster, overlays)
        study = Study.fresh(through, cluster, overlays)
        command = ["envs/run", "workflow", "-m", "snakemake", "--profile", "demo", "--quiet", "all"]
        command += ["--configfile", *map(str, overlays), "--", TABLE]
        local = timed(lambda: subprocess.run(command, cwd=alone, check=False).returncode)
        before = daemons(cluster)
        slurm = timed(lambda: study.start(options=("--jobs", "2", "--local-cores", "1")).wait())
        own, jobs = daemons(cluster) - before, list(timeline(study.jobs()))
        programs = program_seconds(through / "results")
        made, expected = study.results(), reference.results()

    differing = sorted(name for name in made.keys() | expected.keys() if made.get(name) != expected.get(name))
    rules = sorted({rule for rule, *_ in jobs})
    waited = [started - submitted for _, submitted, started, _ in jobs]
    beyond = [
        statistics.mean(ended - started for name, _, started, ended in jobs if name == rule)
        - statistics.mean(programs[rule])
        for rule in rules
    ]
    number = [sum(name == rule for name, *_ in jobs) for rule in rules]
    mean = sum(one * many for one, many in zip(beyond, number, strict=True)) / len(jobs)
    print("| | seconds | CPU s |\n|---|---|---|")
    print(f"| on this machine alone | {local[0]:.0f} | {local[1]:.0f} |")
    print(f"| through SLURM | {slurm[0]:.0f} | {slurm[1]:.0f} |")
    print(f"| beyond, for each of its {len(jobs)} jobs | {(slurm[0] - local[0]) / len(jobs):.1f} "
          f"| {(slurm[1] - local[1]) / len(jobs):.1f} |")  # fmt: skip
    print(f"| the controller and the four nodes | | {own:.1f} |")
    print(
        f"\nA job waited {statistics.mean(waited):.1f} seconds for its node (at most {max(waited):.0f}) and took"
        f" {mean:.1f} seconds more there than its program ({min(beyond):.1f} to {max(beyond):.1f} by rule)."
        f" Of the {len(expected)} files that both runs made, these differ: {', '.join(differing) or 'none'}."
    )


if __name__ == "__main__":
    main()
