"""Snakemake, asking SLURM about its jobs every second; the plugin itself waits ten seconds longer each time."""

import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

checking = Executor.check_active_jobs


async def check_every_second(self, active_jobs):
    async for job in checking(self, active_jobs):
        yield job
    self.next_seconds_between_status_checks = 1


Executor.check_active_jobs = check_every_second
sys.exit(main())
