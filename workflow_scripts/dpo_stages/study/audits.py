"""What the audit of a policy's preference sources is about, and who is asked. Standard library only."""

from collections.abc import Mapping
from typing import Any

from dpo_stages.study import own_labels
from dpo_stages.study.independence import same_model
from dpo_stages.study.policies import OFF, of_data
from dpo_stages.study.study import Study


def sources(study: Study, initial: str) -> dict[str, str]:
    """The sources of an audit and whose labelled candidates they are; one that is another by another name is left out."""
    found: dict[str, str] = {}
    for source in study.config["audit"]["sources"]:
        labelled = study.sampled_from(initial, source)
        if labelled not in found.values():
            found[source] = labelled
    return found


def preferences(study: Study, initial: str) -> list[str]:
    """The pairs of every source."""
    return [study.preferences(initial, source) for source in sources(study, initial)]


def votes(study: Study) -> dict[str, str]:
    """The filled sheets, by whose labelled candidates they are about."""
    config = study.config
    data = {of_data(OFF, name): name for name in config["other_data"]}
    origins = {OFF: config["preference_data"], **data, **config["sources"]}
    return {study.names.labelled(origins.get(name, name)): file for name, file in config["audit"]["votes"].items()}


def is_asked(study: Study) -> bool:
    """Whether the yardstick is asked about what the preference model labelled: one that labels itself is not."""
    return not same_model(study, study.config["yardstick"], study.config["preference_model"])


def answers(study: Study, initial: str) -> dict[str, str]:
    """Who says which response of the pairs of a source is better, by source: votes, or the yardstick where it is asked."""
    voted = votes(study)
    return {
        source: f"results/audits/votes/{labelled}.parquet"
        if labelled in voted
        else f"results/audits/pairs/{study.config['yardstick']}/{labelled}.parquet"
        for source, labelled in sources(study, initial).items()
        if labelled in voted or is_asked(study) or own_labels.stand(study, labelled)
    }


def chosen(study: Study, initial: str) -> dict[str, str]:
    """What the yardstick says of chosen responses against those of the first source, by source, where nobody voted on either."""
    first, *others = sources(study, initial).items()
    voted = votes(study)
    if not is_asked(study) or first[1] in voted:
        return {}
    folder = f"results/audits/chosen/{study.config['yardstick']}"
    return {name: f"{folder}/{one}/against/{first[1]}.parquet" for name, one in others if one not in voted}


def words(files: Mapping[str, Any]) -> list[str]:
    """`SOURCE=FILE` arguments."""
    return [f"{source}={file}" for source, file in files.items()]


def for_report(study: Study) -> list[str]:
    """The audits that the report shows, where a yardstick can be asked."""
    tables = study.config["audit"]["tables"] if study.config["yardstick"] else []
    policies = {policy for table in tables for policy in study.initial_policies_of_table(table)}
    return [f"results/audits/{asked}.json" for policy in sorted(policies) for asked in study.asked(policy)]
