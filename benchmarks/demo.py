"""Where do the CPU seconds of the demo go?

    make demo TARGET=results/tables/table3.csv
    envs/run workflow benchmarks/demo.py

Runs one job of every rule once more, in a demo that is finished, and prints Markdown: jobs of Table 3, CPU seconds of one, what of them
are imports, and what all jobs take that way. Jobs leave the same bytes as before, but newer: the next `make demo` compares them.
"""

import os
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "results/tables/table3.csv"
_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n.*?^Shell command: (.+?)$", re.MULTILINE | re.DOTALL)
_IMPORT = re.compile(r"^import time: +(\d+) \|", re.MULTILINE)
IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1"}  # has Python say microseconds of each


def commands() -> dict[str, list[str]]:
    """The shell commands of all jobs, by rule."""
    options = ["--profile", "demo", "--forceall", "--dry-run", "--printshellcmds", "--quiet", "host", "--", TARGET]
    planned = subprocess.run(
        [ROOT / "envs/run", "workflow", "-m", "snakemake", *options], capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = {}
    for rule, command in _JOB.findall(planned.stdout):
        found.setdefault(rule, []).append(command)
    return found


def run(command: str) -> tuple[float, float]:
    """CPU seconds of a job, those of the programs that it starts included, and of its imports."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["bash", "-c", command], check=True, env=os.environ | IMPORTS, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    log = Path(re.search(r"> (\S+\.log)", command)[1])
    imports = sum(map(int, _IMPORT.findall(log.read_text(encoding="utf-8")))) / 1e6
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, imports


def lines() -> Iterator[tuple[str, int, float, float]]:
    """Of each rule its jobs, and CPU seconds and imports of one."""
    for rule, jobs in commands().items():
        yield rule, len(jobs), *run(jobs[0])


def main() -> None:
    os.chdir(ROOT)
    os.environ["OMP_NUM_THREADS"] = "1"
    found = sorted(lines(), key=lambda line: -line[1] * line[2])
    total = sum(jobs * seconds for _, jobs, seconds, _ in found)
    importing = sum(jobs * imports for _, jobs, _, imports in found)
    print("| rule | jobs | CPU s a job | of these imports | CPU s of all |\n|---|---|---|---|---|")
    for rule, jobs, seconds, imports in found:
        print(f"| {rule} | {jobs} | {seconds:.1f} | {imports:.1f} | {jobs * seconds:.0f} |")
    print(
        f"| all | {sum(jobs for _, jobs, *_ in found)} | | {importing:.0f} in all, {importing / total:.0%} | {total:.0f} |"
    )


if __name__ == "__main__":
    main()
