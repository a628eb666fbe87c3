"""All that is wrong, in one list."""

from dpo_stages.preflight import judges, machine, models
from dpo_stages.preflight.data import Data
from dpo_stages.preflight.jobs import Jobs
from dpo_stages.study.study import Study


def reasons_not_to_start(study: Study, jobs: Jobs) -> list[str]:
    """Why jobs would fail, or be of no use, each with what to do about it; none as a rule.

    Args:
        study: the study.
        jobs: what is about to run.
    """
    data = Data(study, jobs)
    return [
        *data.reasons,
        *data.shared_prompts(),
        *data.steps(),
        *models.models(study, jobs),
        *models.preference_models(study, jobs),
        *models.hub(study, jobs),
        *judges.judges(study, jobs),
        *machine.memory(study, jobs),
    ]
