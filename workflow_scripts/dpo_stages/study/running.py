"""What is said on the terminal while jobs run: how far the run is, what it has found, and how far the long jobs are, as their
programs write it to their logs.

Standard library only.
"""

import json
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 30.0
SECONDS_A_LINE = 10.0
"""At least so long for each line on average: sixty jobs of a cluster are not to fill the terminal."""
END_OF_LOG = 8192
"""Bytes of a log that are read: libraries may print something behind the last line of progress."""
ENOUGH_DONE = 0.02
"""Share of the work of a run that must be done before anything is said of the rest."""
SECONDS_BETWEEN_STEPS = 10.0
"""Between two lines on how far the run is; most jobs of the demo take a second or two."""

_PROGRESS = re.compile(r"^(?P<what>[^\n:]+): (?P<done>\d+)/(?P<of>\d+)(?:, (?P<left>\d+) s left| in [\d.]+ s)$", re.M)


def progress(log: str) -> str | None:
    """How far a program is by the end of its log: `sampling, 120 of 306, 24 a minute, 8 min left`.

    None before its first line of progress (see `dpo_stages.core.program.ProgressReport`), and between two pieces of work.
    """
    lines = [*_PROGRESS.finditer(log)]
    if not lines or lines[-1]["left"] is None:
        return None
    last = lines[-1]
    done, of, left = int(last["done"]), int(last["of"]), int(last["left"])
    words = [last["what"], f"{done} of {of}"]
    if left:
        words += [_rate((of - done) / left), f"{_duration(left)} left"]
    return ", ".join(words)


def _rate(per_second: float) -> str:
    """In the shortest unit of time that has at least one."""
    units = {"a second": per_second, "a minute": 60 * per_second, "an hour": 3600 * per_second}
    unit, rate = next(((unit, rate) for unit, rate in units.items() if rate >= 1), ("an hour", units["an hour"]))
    return f"{rate:.0f} {unit}" if rate >= 10 else f"{rate:.1f} {unit}"


def _duration(seconds: int) -> str:
    if seconds < 100:
        return f"{seconds} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def job_name(rule: str, log: str) -> str:
    """A job by its rule and what its log is named after: `sample_candidates my-model/sft/train`."""
    below = log.removesuffix(".log").partition(f"/{rule}/")[2]
    return f"{rule} {below}" if below else rule


def verdict(measurement: Path) -> str:
    """A boundary measurement in a line, from its JSON file."""
    found = json.loads(measurement.read_text(encoding="utf-8"))
    low, high = found["interval"]
    return (
        f"==> {found['policy']} by {found['preference_model']}: boundary score {found['boundary_score']:.3f} "
        f"({100 * found['confidence']:g} % interval {low:.3f} to {high:.3f}), {found['verdict']}: "
        f"{found['recommended_source']}-policy candidates are recommended, see {measurement.with_suffix('.md')}"
    )


class RunProgress:
    """How many of a run's jobs are done, what runs, and about how long the rest takes.

    Args:
        seconds: CPU seconds of a job of each rule, of which only the proportions count; of rules that are not there, one.
            Without any nothing is said of the rest.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = seconds
        self.began, self.said, self.done = time.monotonic(), -math.inf, 0.0

    def _seconds(self, rules: Iterable[str]) -> float:
        return sum(self.seconds.get(rule, 1.0) for rule in rules)

    def finished(self, rule: str, done: int, of: int, running: Mapping[str, str], planned: Iterable[str]) -> str | None:
        """What there is to say when a job has ended; None if something was said a moment ago, unless it is the last.

        Args:
            rule: of the job.
            done: jobs that have ended, this one included.
            of: all jobs.
            running: logs of the jobs that run, and the rule of each.
            planned: the rules of all jobs, those that have ended included.
        """
        now = time.monotonic()
        self.done += self._seconds([rule])
        if now - self.said < SECONDS_BETWEEN_STEPS and done < of:
            return None
        self.said = now
        words = [f"{done} of {of} steps ({100 * done // of} %) done after {_duration(round(now - self.began))}"]
        if running:
            words.append("running: " + ", ".join(job_name(rule, log) for log, rule in running.items()))
        so_far = self.done + self._seconds(running.values()) / 2  # half done, on average
        left = self._seconds(planned) - so_far
        if self.seconds and so_far > ENOUGH_DONE * left and done < of:
            words.append(f"about {_duration(round(left / so_far * (now - self.began)))} left")
        return "; ".join(words)


class Watch:
    """Says every half a minute which of the running jobs have come further, until the run ends.

    Args:
        running: gives the logs of the jobs that run now, and the rule of each.
    """

    def __init__(self, running: Callable[[], Mapping[str, str]]) -> None:
        self.running = running
        self.seen: dict[str, str | None] = {}
        self.ended = threading.Event()

    def start(self) -> None:
        print("jobs write to results/logs/RULE/…; `tail -f` shows what one does", file=sys.stderr)
        threading.Thread(target=self._look_again_and_again, daemon=True).start()

    def stop(self) -> None:
        self.ended.set()

    def _look_again_and_again(self) -> None:
        lines: list[str] = []
        while not self.ended.wait(max(SECONDS_BETWEEN_LOOKS, SECONDS_A_LINE * len(lines))):
            lines = self.look()
            if lines:
                print(*lines, sep="\n", file=sys.stderr, flush=True)

    def look(self) -> list[str]:
        """A line for each job whose progress is another than at the last look.

        Of a job that is new only the next progress is told: its log may still be that of an earlier run.
        """
        running = self.running()
        now = {log: progress(_end_of(log)) for log in running}
        said = [
            f"{job_name(running[log], log)}: {words}"
            for log, words in now.items()
            if words and log in self.seen and words != self.seen[log]
        ]
        self.seen = now
        return said


def _end_of(log: str) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, Path(log).stat().st_size - END_OF_LOG))
            return file.read().decode("utf-8", errors="replace")
    except OSError:  # it has not begun
        return ""
