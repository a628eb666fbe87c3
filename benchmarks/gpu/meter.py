"""Run a program and watch the card meanwhile: memory at its highest, and energy."""

import math
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PERIOD = 0.2  # seconds between two looks at the card
DONE = re.compile(r"^(.+): (\d+)/(\d+) in ([0-9.]+) s$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """A program that has ended.

    Attributes:
        status: exit code.
        seconds: from its start to its end.
        memory: bytes of the card that were taken at most, by everything that ran there; None without a card.
        energy: watt-hours that the card took; None where it does not tell its power.
        log: what it printed.
    """

    status: int
    seconds: float
    memory: float | None
    energy: float | None
    log: str

    def working(self, what: str) -> float:
        """Seconds of the work itself, without start-up, by the program's line of progress about it; NaN if there is none, and at
        least the least that such a line tells."""
        found = {name: max(float(seconds), 0.1) for name, _, _, seconds in DONE.findall(self.log)}
        return found.get(what, math.nan)

    @property
    def sentence(self) -> str:
        """The last line that it printed, which tells what went wrong."""
        lines = [line for line in self.log.splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it printed nothing"


class Meter:
    """Looks at the first card every `PERIOD` seconds between `start` and `stop`."""

    QUERY = ("nvidia-smi", "--query-gpu=memory.used,power.draw", "--format=csv,noheader,nounits", "--id=0")

    def __init__(self) -> None:
        self.memory: float | None = None
        self.energy: float | None = None
        self._watching = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._watching.set()
        self._thread.join()

    def _watch(self) -> None:
        if not shutil.which(self.QUERY[0]):
            return
        command = [*self.QUERY, f"--loop-ms={round(1000 * PERIOD)}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            before = time.monotonic()
            for line in process.stdout:
                now, (used, _, power) = time.monotonic(), line.strip().partition(", ")
                self.memory = max(self.memory or 0.0, float(used) * 2**20)
                if power.replace(".", "", 1).isdigit():
                    self.energy = (self.energy or 0.0) + float(power) * (now - before) / 3600
                before = now
                if self._watching.is_set():
                    break
            process.terminate()


def run(command: list[str], log: Path, environment: dict[str, str]) -> Run:
    """Run a command to its end; its output goes to `log`."""
    meter, started = Meter(), time.monotonic()
    meter.start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    seconds = time.monotonic() - started
    meter.stop()
    return Run(status, seconds, meter.memory, meter.energy, log.read_text("utf-8", errors="replace"))
