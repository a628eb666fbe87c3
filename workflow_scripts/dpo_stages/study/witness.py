"""Who says whether the length-gamed references are as good as the reference: a preference model that is not the judge.

Standard library only.
"""

from dpo_stages.study.study import Study


def length_witness(study: Study) -> str:
    """The preference model that is the witness, or would be if it were not the judge."""
    return study.config["evaluation"]["length_witness"] or study.config["preference_model"]


def witness_judges(study: Study) -> bool:
    """Whether it is itself the judge, and so no witness; another name makes no other of it."""
    models, judges = study.config["preference_models"], study.config["judges"]
    witness = models[length_witness(study)]
    if study.judge["kind"] == "preference_model":
        judge = models[study.judge["model"]]
        return all(witness[key] == judge[key] for key in ("path", "revision", "training", "judge"))
    return witness["judge"] is not None and judges[witness["judge"]]["model"] == study.judge["model"]
