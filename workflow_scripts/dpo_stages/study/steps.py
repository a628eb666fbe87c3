"""How a policy came about, as a study's files tell it. Standard library only."""

from typing import Any

from dpo_stages.study import paths
from dpo_stages.study.policies import AUTO, BLEND, Policy, data_of, is_mixed, is_pooled, parts
from dpo_stages.study.study import Study


def of(study: Study, policy: str) -> list[dict[str, Any]]:
    """How a policy came about, one iteration after another: what was chosen, and the files that tell what it took."""
    found, raced = [], study.config["decide_by"] == "race"
    for named in Policy.parse(policy).lineage:
        fixed = study.resolved(named)
        initial, source = fixed.initial, fixed.source
        mixed = is_mixed(source) and not is_pooled(source)
        asked = initial.asking(data_of(source)[1])
        single = {one: study.preferences(initial, one) for one in (parts(source) if mixed else [source])}
        files = {study.origins(initial, one)[-1]: file for one, file in single.items()}
        found.append(
            {
                "policy": str(fixed),
                "initial_policy": str(initial),
                "named_source": named.source,
                "source": source,
                "candidates": study.config["sampling"]["candidates"],
                "decision": study.decision(initial) if named.source == AUTO else None,
                "boundary": paths.boundary(asked)
                if data_of(named.source)[0] in ((BLEND,) if raced else (AUTO, BLEND))
                else None,
                "other_boundaries": []
                if raced or named.source != AUTO
                else [paths.boundary(one) for one in study.asked(initial) if one != asked],
                "race": paths.race(initial) if raced and named.source == AUTO else None,
                "mixture": study.preferences(initial, source) if mixed else None,
                "preferences": [
                    {
                        "origin": origin,
                        "file": file,
                        "sampled": not study.names.is_dataset(origin),
                        "own": origin in map(str, study.asked(initial)),
                    }
                    for origin, file in files.items()
                ],
            }
        )
    return found


def files(study: Study, policy: str) -> list[str]:
    """All files that these name."""
    told = of(study, policy)
    named = {step[kind] for step in told for kind in ("decision", "boundary", "race", "mixture")}
    named |= {file for step in told for file in step["other_boundaries"]}
    return sorted((named | {pairs["file"] for step in told for pairs in step["preferences"]}) - {None})
