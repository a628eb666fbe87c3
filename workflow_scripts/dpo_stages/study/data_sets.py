"""Several data sets of off-policy candidates in one study: what is measured against each of them. Standard library only."""

from dpo_stages.study import paths
from dpo_stages.study.policies import Policy
from dpo_stages.study.study import Study


def names(study: Study) -> list[str]:
    """The data sets, the preference data first."""
    return [study.config["preference_data"], *study.config["other_data"]]


def boundaries(study: Study, initial: str | Policy) -> list[str]:
    """The boundary scores of a policy against each, in the same order."""
    return [paths.boundary(policy) for policy in study.asked(initial)]


def confidence(study: Study) -> float:
    """The level of one boundary score, so that all scores of a policy together hold with the level that is configured.

    Bonferroni: as many data sets as there are share what may go wrong.
    """
    level, sets = study.config["boundary"]["confidence"], len(names(study))
    return level if sets == 1 else round(1 - (1 - level) / sets, 6)


def in_words(study: Study) -> list[str]:
    """What a boundary score's page says where there are several; nothing where there is one."""
    others, level = len(names(study)) - 1, 100 * study.config["boundary"]["confidence"]
    if not others:
        return []
    return [
        f"The study has {others + 1} data sets, each compared with own samples for its own prompts. Each interval is as wide as it has to be "
        f"for all of them to hold together with {level:g} % confidence."
    ]
