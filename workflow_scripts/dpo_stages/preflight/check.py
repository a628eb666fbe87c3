"""All that is wrong, in one list."""

from dpo_stages.preflight import judges, machine, models, votes
from dpo_stages.preflight.data import Data


def reasons_not_to_start(data: Data) -> list[str]:
    """Why jobs would fail, or be of no use, each with what to do about it; none as a rule.

    Args:
        data: of the study, as the jobs read them.
    """
    study, jobs = data.study, data.jobs
    return [
        *data.reasons,
        *data.labels(),
        *data.shared_prompts(),
        *data.steps(),
        *models.models(study, jobs),
        *models.preference_models(study, jobs),
        *votes.votes(study, jobs),
        *models.hub(study, jobs),
        *judges.judges(study, jobs),
        *machine.memory(study, jobs),
    ]
