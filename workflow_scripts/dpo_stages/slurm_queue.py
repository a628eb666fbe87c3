"""Jobs of an earlier run that are still in SLURM's queue. Standard library only."""

import shutil
import subprocess
from pathlib import Path


def jobs_of_folder(folder: Path) -> list[str]:
    """Ids of the user's jobs in the queue that Snakemake submitted from this working folder.

    No ids where there is no SLURM or it does not answer.
    """
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--me", "--noheader", "--format=%i|%k|%Z"]
    lines = subprocess.run(command, text=True, capture_output=True, check=False).stdout.splitlines()
    jobs = [line.split("|", 2) for line in lines if line.count("|") >= 2]
    # Snakemake's plugin says in the comment which rule a job is of.
    return [job for job, comment, place in jobs if comment.startswith("rule_") and Path(place).resolve() == folder]
