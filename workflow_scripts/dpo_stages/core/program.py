"""How every program of the workflow starts, fails and ends.

Exit codes: 0 done, 2 bad input (one sentence on standard error, no traceback, nothing written), 1 anything else; when it
is the disk that fails, one sentence as well.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from dpo_stages.core.errors import BadInput

Item = TypeVar("Item")

SECONDS_BETWEEN_PROGRESS_LINES = 10.0
DISK_FAILED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def run(main: Callable[[], None], *bad_input: type[Exception]) -> None:
    """Run a program's `main`; a `BadInput` becomes one line on standard error and exit code 2, a full disk exit code 1.

    Args:
        main: the program.
        bad_input: exceptions of a library that mean the same as `BadInput`, one sentence each.
    """
    from dpo_stages.core.ledgers import note_inputs

    name = Path(sys.argv[0]).stem
    note_inputs()
    try:
        main()
    except (BadInput, *bad_input) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in DISK_FAILED:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"{name}: {os.strerror(error.errno)}{where}; nothing unfinished was left behind", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{name}: interrupted, nothing unfinished was left behind", file=sys.stderr)
        sys.exit(130)


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items`, printing whole lines that stay readable in a log file: `labelling: 1200/2000, 35 s left`."""
    total = len(items) if total is None else total  # type: ignore[arg-type]
    report = ProgressReport(what, total)
    for item in items:
        yield item
        report.advance()
    report.close()


class ProgressReport:
    """Progress of `total` units of `what` as plain lines on standard error, at most one every ten seconds."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.started = self.printed = time.monotonic()

    def advance(self, units: int = 1) -> None:
        self.done += units
        now = time.monotonic()
        if now - self.printed >= SECONDS_BETWEEN_PROGRESS_LINES and self.done < self.total:
            self.printed = now
            left = (now - self.started) / self.done * (self.total - self.done)
            print(f"{self.what}: {self.done}/{self.total}, {left:.0f} s left", file=sys.stderr, flush=True)

    def close(self) -> None:
        seconds = time.monotonic() - self.started
        print(f"{self.what}: {self.done}/{self.total} in {seconds:.1f} s", file=sys.stderr, flush=True)


def finish(output: str | os.PathLike, rows_in: int, rows_out: int, dropped: dict[str, int], **counts: object) -> None:
    """Print the one summary line that every program ends with and write the same numbers beside its output.

    The ledger holds the provenance of the output, too: see `dpo_stages.core.ledgers`.

    Args:
        output: the program's main output; the ledger is `{output without suffix}.ledger.json` beside it.
        rows_in: rows read.
        rows_out: rows written.
        dropped: rows dropped, by reason. Rows in must equal rows out plus rows dropped when one row makes one row.
        counts: whatever else is worth a reader's time, such as `order_flip_rate=0.04`. Where nothing was counted, a whole number 0,
            the ledger alone says so: most programs look for a dozen faults, of which there are none.
    """
    from dpo_stages.core.files import write_json
    from dpo_stages.core.ledgers import provenance

    output = Path(output)
    ledger = {"output": output.name, "rows_in": rows_in, "rows_out": rows_out, "dropped": dropped, **counts}
    write_json(output.with_name(f"{output.stem}.ledger.json"), {**ledger, "provenance": provenance()})
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count) or "none"
    worth_saying = {key: value for key, value in counts.items() if value != 0 or isinstance(value, bool | float)}
    extra = "".join(f", {key.replace('_', ' ')} {_short(value)}" for key, value in worth_saying.items())
    name = Path(sys.argv[0]).stem
    line = f"{name}: {rows_in} rows in, {rows_out} rows out, dropped: {reasons}{extra} -> {output}"
    print(line, file=sys.stderr, flush=True)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
