"""People's votes on preference models, read as the workflow will read them."""

from collections.abc import Iterator
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.data.votes import TIE, only_ties, read_votes
from dpo_stages.preflight.jobs import Jobs
from dpo_stages.study import held_out
from dpo_stages.study.study import Study


def votes(study: Study, jobs: Jobs) -> Iterator[str]:
    """What is wrong with the held-out votes that are about to be counted."""
    for name in dict.fromkeys(job["voted"] for job in jobs.of("measure_preference_model", "measure_judge")):
        files = [
            file for file in held_out.votes(study, name) if Path(file).is_file()
        ]  # that others are missing is said elsewhere
        try:
            rows = [row for file in files for row in read_votes(file)]
            if rows and all(row["preferred"] == TIE for row in rows):
                raise only_ties(", ".join(files))
        except BadInput as reason:
            yield f"preference_models.{name}.held_out: {reason}"
