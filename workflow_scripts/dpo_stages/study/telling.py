"""Has the terminal say how far a run is, and every boundary measurement as it comes.

Reaches inside Snakemake as `guards` does, and relies besides on

    scheduler.finished_jobs, len(dag)   how many jobs are done, and how many there are
    snakemake.logging.logger            is told of each job that is done, with .job_id, before dag.finish(job)

A test holds the locked release to them (tests/study/test_guards.py).
"""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpo_stages.study import guards
from dpo_stages.study.running import RunProgress, verdict

_SELECTING = "Select jobs to execute..."


def tell_progress(workflow: Any, progress: RunProgress) -> None:
    """Say in a line how far the run is, and what a boundary measurement found, in place of Snakemake's words on each job.

    Those stay in its log, and leave the terminal.
    """
    from snakemake.logging import logger
    from snakemake_interface_logger_plugins.common import LogEvent

    of_each_job = (LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.PROGRESS)

    class Finished(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", None) == LogEvent.JOB_FINISHED:
                print(*_lines(workflow, progress, record.job_id), sep="", end="", file=sys.stderr, flush=True)

    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(lambda record: getattr(record, "event", None) not in of_each_job)
            handler.addFilter(lambda record: record.msg != _SELECTING)
    logger.addHandler(Finished())


def _lines(workflow: Any, progress: RunProgress, number: int) -> Iterator[str]:
    """What there is to say of a job that has just ended, in whole lines."""
    dag = workflow.dag
    job = next(job for job in dag.needrun_jobs() if job.jobid == number)
    if job.rule.name in ("measure_boundary", "measure_second_opinion"):
        yield f"{verdict(Path(job.output[0]))}\n"
    planned = (job.rule.name for job in dag.needrun_jobs(exclude_finished=False))
    running = guards.running(workflow)
    if line := progress.finished(job.rule.name, workflow.scheduler.finished_jobs, len(dag), running, planned):
        yield f"{line}\n"
