"""What is still worth running once a job has failed. Standard library only."""

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

Job = TypeVar("Job")


def of_use(
    targets: Iterable[Job],
    inputs: Callable[[Job], Iterable[Job]],
    lost: Collection[Job],
    is_long: Callable[[Job], bool],
) -> set[Job]:
    """Jobs that some target hangs on which can still be made.

    What brings results together, such as a table, is quick: where it is lost, each of the results counts as a target. A long
    job that is lost takes with it whatever was to be made for it alone.

    Args:
        targets: jobs that make what was asked for.
        inputs: gives the jobs that make what a job reads.
        lost: jobs that failed, and all that hang on them.
        is_long: whether a job takes long.
    """
    useful: set[Job] = set()
    seen: set[Job] = set()
    waiting = list(targets)
    while waiting:
        job = waiting.pop()
        if job in seen:
            continue
        seen.add(job)
        if job not in lost:
            useful.add(job)
        if job not in lost or not is_long(job):
            waiting.extend(inputs(job))
    return useful
