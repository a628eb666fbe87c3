"""Held-out votes of preference models, which say how often one is right. Standard library only."""

from collections.abc import Iterable

from dpo_stages.study.study import Study


def votes(study: Study, name: str) -> list[str]:
    """The files of a preference model's votes; none where nobody voted."""
    files = study.config["preference_models"][name]["held_out"]
    return [study.file(file) for file in ([files] if isinstance(files, str) else files or [])]


def results(study: Study, names: Iterable[str]) -> list[str]:
    """What is found of the preference models that have votes."""
    return [f"results/held_out/{name}.json" for name in names if votes(study, name)]


def asked(study: Study) -> list[str]:
    """The preference models of the study, each once: what labels, judges, is the yardstick or gives a second opinion."""
    config, judge = study.config, study.judge
    judging = [judge["model"]] if judge["kind"] == "preference_model" else []
    names = [config["preference_model"], *judging, config["yardstick"], *config["boundary"]["second_opinions"]]
    return list(dict.fromkeys(filter(None, names)))


def note(study: Study) -> list[str]:
    """What is said where nobody voted on what the labelling preference model is asked, in one sentence; else nothing."""
    name = study.config["preference_model"]
    if votes(study, name):
        return []
    return [
        f"How often {name} is right, and whether more often than whoever takes the longer response, nobody knows: name pairs with "
        f"people's votes in `preference_models: {{{name}: {{held_out: FILE}}}}` (docs/judges.md)."
    ]
