"""Who labels, who judges and who bears witness, and whether any two of them are one. Standard library only."""

from dpo_stages.study import paths
from dpo_stages.study.study import Study


def same_model(study: Study, one: str, other: str) -> bool:
    """Whether two preference models of a study are one; another name or endpoint makes no other of it."""
    models, judges = study.config["preference_models"], study.config["judges"]
    first, second = models[one], models[other]
    if first["judge"] and second["judge"]:
        return judges[first["judge"]]["model"] == judges[second["judge"]]["model"]
    return all(first[key] == second[key] for key in ("path", "revision", "training", "judge"))


def is_judge(study: Study, preference_model: str) -> bool:
    """Whether a preference model is the judge that evaluates."""
    if study.judge["kind"] == "preference_model":
        return same_model(study, preference_model, study.judge["model"])
    judge = study.config["preference_models"][preference_model]["judge"]
    return judge is not None and study.config["judges"][judge]["model"] == study.judge["model"]


def cautions(study: Study) -> list[str]:
    """What takes weight from all that the study finds, one sentence each."""
    if not is_judge(study, study.config["preference_model"]):
        return []
    return [
        f"Caution: {study.config['evaluation']['judge']}, which judges here, also labels what is trained on: win rates say what "
        "it prefers, not that anybody else does."
    ]


def cautions_of_yardstick(study: Study) -> list[str]:
    """The same of what audits and races say."""
    if not same_model(study, study.config["yardstick"], study.config["preference_model"]):
        return []
    return [
        f"Caution: {study.config['yardstick']}, which is asked here, also labels what is trained on: it cannot see what its own "
        "labels do wrong. Name another preference model as `yardstick`."
    ]


def length_witness(study: Study) -> str:
    """The preference model that says whether the length-gamed references are as good as the reference."""
    return study.config["evaluation"]["length_witness"] or study.config["preference_model"]


def length_control(study: Study) -> str | None:
    """What says whether length control is valid; None where the difficulties, and so the references, are published."""
    return paths.evaluation(study.instruction_set, "length_control.json") if study.fitted_over else None
