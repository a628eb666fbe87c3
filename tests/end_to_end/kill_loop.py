"""Kill a small demo at random moments until every stage was killed, rerun it plainly, and compare every byte.

    envs/run workflow tests/end_to_end/kill_loop.py --kills 50 --seed 0

An undisturbed run comes first: it gives the bytes that are right and how long each program runs. A second run is then
killed with SIGKILL at a random moment of a program that was not killed often enough yet, in one of three ways:

    job         the program alone, as the kernel does when memory runs out
    snakemake   Snakemake alone; its jobs live on while the next run begins
    everything  all processes at once, as when the power fails

and started again with the same command, until it is done; where a program has yet to be killed when it is, the program is
edited. Whatever stands under a final name must be the undisturbed run's file at every moment: a part of a file is a failure
even if a later run replaces it.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from clones import copy_workflow  # noqa: E402

OVERLAYS = ("demo/config.yaml", ROOT / "tests/end_to_end/small.yaml", ROOT / "tests/end_to_end/tiny.yaml")
TARGETS = ("results/tables/table3.csv", "results/tables/table8.csv", "results/figures/table3.svg")
WAYS = ("job", "snakemake", "everything")
# What holds times, or what one run leaves to the next.
UNSTABLE = ("benchmarks/", "logs/", "checkpoints/", "judge_cache/", ".ledger.json")
LOCKED = "Directory cannot be locked"


def start(folder: Path, *options: str, overlays: tuple = OVERLAYS, targets: tuple = TARGETS) -> subprocess.Popen:
    """Start Snakemake in a session of its own; what it prints goes into a file beside the clone."""
    command = ["envs/run", "workflow", "-m", "snakemake", "--profile", "demo"]
    command += ["--configfile", *map(str, overlays), *options, "--", *targets]
    with open(printed(folder), "w", encoding="utf-8") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def printed(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.output")


def programs(folder: Path) -> dict[int, str]:
    """Programs of the workflow that run in a clone: their names by process id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            script = next((Path(os.fsdecode(word)) for word in words[1:3] if word.endswith(b".py")), None)
            if script and script.parent.name == "workflow_scripts" and (process / "cwd").resolve() == folder.resolve():
                found[int(process.name)] = script.stem
    return found


def everything_of(folder: Path) -> list[int]:
    """All processes that work in a clone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def files_of(folder: Path) -> dict[str, str]:
    """Hash of every file under its final name that a run must make the same again."""
    hashes = {}
    for path in sorted((folder / "results").rglob("*")):
        name = path.relative_to(folder / "results").as_posix()
        if path.name.startswith(".") or ".part/" in name or any(part in name for part in UNSTABLE):
            continue
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # a job that lives on may be at work
            hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders that no one will rename any more."""
    return sorted(
        path.relative_to(folder).as_posix() for path in (folder / "results").rglob(".*") if path.suffix == ".part"
    )


def run_undisturbed(folder: Path) -> tuple[dict[str, str], dict[str, float]]:
    """Run to the end; returns the files' hashes and the seconds that each program takes."""
    snakemake, began, seconds = start(folder), {}, {}
    while snakemake.poll() is None:
        running, now = programs(folder), time.monotonic()
        for pid, name in running.items():
            began.setdefault(pid, (name, now))
        for pid in began.keys() - running.keys():
            name, since = began.pop(pid)
            seconds[name] = max(seconds.get(name, 0.0), now - since)
        time.sleep(0.02)
    if snakemake.returncode:
        raise SystemExit(f"the undisturbed run failed:\n{printed(folder).read_text()[-4000:]}")
    return files_of(folder), seconds


def kill_once(
    folder: Path,
    wanted: list[str],
    seconds: dict[str, float],
    way: str,
    dice: random.Random,
    overlays: tuple = OVERLAYS,
    targets: tuple = TARGETS,
) -> str | None:
    """Start a run and kill it in one of the wanted programs; returns the program, None if the run ended before."""
    already = set(programs(folder))  # of a killed Snakemake, living on
    snakemake, moments = start(folder, overlays=overlays, targets=targets), {}
    while snakemake.poll() is None:
        now = time.monotonic()
        for pid, name in programs(folder).items():
            if pid not in already and name in wanted:
                moments.setdefault(pid, (name, now + dice.uniform(0, seconds[name])))
        due = [(pid, name) for pid, (name, moment) in moments.items() if moment <= now and pid in programs(folder)]
        if due:
            (pid, name), *_ = due
            if way == "job":
                kill([pid])
            elif way == "snakemake":
                kill([snakemake.pid])
            else:
                kill(everything_of(folder))
            snakemake.wait()
            return name
        time.sleep(0.01)
    return None


def run_to_the_end(folder: Path, report: dict, overlays: tuple = OVERLAYS, targets: tuple = TARGETS) -> None:
    """What a user types after a fault: the same command, and `--unlock` when Snakemake asks for it."""
    for _ in range(5):
        if start(folder, overlays=overlays, targets=targets).wait() == 0:
            return
        if LOCKED in printed(folder).read_text():
            unlock(folder, report)
    raise SystemExit(f"plain reruns do not finish:\n{printed(folder).read_text()[-4000:]}")


def unlock(folder: Path, report: dict) -> None:
    report["unlocked"] += 1
    if start(folder, "--unlock").wait():
        raise SystemExit(f"--unlock failed:\n{printed(folder).read_text()[-4000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="at least so many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the two runs are kept (default: a temporary one)")
    arguments = parser.parse_args()
    temporary = tempfile.mkdtemp(prefix="kill_loop.")
    report = kill_often(arguments.folder or Path(temporary), arguments.kills, random.Random(arguments.seed))
    shutil.rmtree(temporary)
    print(json.dumps(report, indent=2))
    if report["wrong_at_a_moment"] or report["differ"] or report["missing"] or report["leftovers"]:
        raise SystemExit("faults changed what was made")


def kill_often(folder: Path, kills: int, dice: random.Random) -> dict:
    """Both runs and their comparison.

    Returns:
        Kills by program and way, how often Snakemake had to be unlocked, files that were wrong at some moment, that
        differ or are missing in the end, and temporary files that are left.
    """
    undisturbed, disturbed = copy_workflow(folder / "undisturbed"), copy_workflow(folder / "disturbed")
    right, seconds = run_undisturbed(undisturbed)
    print("the undisturbed run is done; its programs:", ", ".join(seconds), flush=True)
    report = {"kills": Counter(), "ways": Counter(), "unlocked": 0, "wrong_at_a_moment": [], "runs_without_kill": 0}
    each = -(-kills // len(seconds))
    ways = iter(lambda: dice.choice(WAYS), None)
    while wanted := [name for name in seconds if report["kills"][name] < each]:
        way = next(ways)
        killed = kill_once(disturbed, wanted, seconds, way, dice)
        if killed:
            report["kills"][killed] += 1
            report["ways"][way] += 1
            print(f"{report['kills'].total()}: {killed}, {way}", flush=True)
        elif LOCKED in printed(disturbed).read_text():
            unlock(disturbed, report)
        else:
            report["runs_without_kill"] += 1
            edit(disturbed, wanted)
        wrong = [name for name, value in files_of(disturbed).items() if right.get(name) != value]
        if wrong:
            report["wrong_at_a_moment"].append([killed, way, wrong])
            print(f"wrong: {wrong}", flush=True)
    while everything_of(disturbed):  # jobs that outlived their Snakemake
        time.sleep(0.1)
    run_to_the_end(disturbed, report)
    made = files_of(disturbed)
    report["missing"] = sorted(right.keys() - made.keys())
    report["differ"] = sorted(name for name in made if made[name] != right.get(name))
    report["leftovers"] = leftovers(disturbed)
    return report


def edit(folder: Path, programs: list[str]) -> None:
    """Add a comment to programs of a finished run: what they made must be made again, and all that stands on it.

    The judge's version is a hash of its program and stands in its judgements, so what starts it is edited in its place.
    """
    for name in {"judge_outputs" if name == "serve_demo_judge" else name for name in programs}:
        with open(folder / f"workflow_scripts/{name}.py", "a", encoding="utf-8") as script:
            script.write("# edited\n")


if __name__ == "__main__":
    main()
