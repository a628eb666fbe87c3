"""What a study takes from elsewhere and what its report shows, as lists of names and files. Standard library only."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dpo_stages.core.errors import BadInput
from dpo_stages.study import capabilities, data_sets, own_labels, paths
from dpo_stages.study.audits import for_report
from dpo_stages.study.cards import DATA, OTHER_DATA
from dpo_stages.study.independence import length_control, length_witness
from dpo_stages.study.policies import RECOMMENDED, Policy
from dpo_stages.study.races import races_for_report
from dpo_stages.study.splits import lacking
from dpo_stages.study.study import Study

PAPER_TABLES = tuple(f"table{number}" for number in range(1, 6))


def from_the_hub(study: Study) -> list[str]:
    """The models and data of the tables and analyses that are downloaded, as the files that stand for them."""
    config = study.config
    sections = [*config["tables"].values(), *filter(None, config["analyses"].values())]
    models = {model for section in sections for model in section["models"]}
    models |= {Policy.parse(origin).model for origin in config["sources"].values()}
    chats = {(config["models"][model]["sft"], "train") for model in models} - {(None, "train")}
    models |= {study.judge["model"]} if study.judge["kind"] == "vllm" else set()
    splits = {(data, split) for data in data_sets.names(study) for split in ("train", config["boundary"]["split"])}
    splits |= {(study.instruction_set, "evaluation"), *chats}
    rankers = {config["preference_model"], *([length_witness(study)] if length_control(study) else [])}
    rankers |= {config["yardstick"]} if for_report(study) or races_for_report(study) else set()
    return [
        *(paths.base_model(model) for model in sorted(models) if config["models"][model]["path"]),
        *(
            paths.dataset(dataset, split)
            for dataset, split in sorted(splits)
            if config["datasets"][dataset]["adapter"] != "local"
        ),
        *(paths.preference_model(name) for name in sorted(rankers) if config["preference_models"][name]["path"]),
        *([capabilities.TASKS] if config["capabilities"]["tables"] else []),
    ]


def local_split(study: Study, alone: bool) -> Callable[[Any], str | list]:
    """Input function: the file of a local data set's split, which a rule may make, or the files of its folder; nothing for a data
    set of the hub.

    Args:
        study: the study.
        alone: whether no workflow around this one may make files for it. Then nothing is given for a file that is missing, so that
            `missing_files` can name it together with all else that is.

    The function raises BadInput where the data set has no such split.
    """

    def file_of(wildcards: Any) -> str | list:
        dataset = study.config["datasets"][wildcards.dataset]
        if wildcards.split not in dataset["splits"]:
            raise BadInput(
                f"the data set {wildcards.dataset} has {lacking(study.config, wildcards.dataset, wildcards.split)}"
            )
        if dataset["adapter"] != "local":
            return []
        file = dataset["splits"][wildcards.split]
        if Path(file).is_dir():
            return sorted(str(part) for part in Path(file).iterdir() if part.is_file())
        return present(file, alone)

    return file_of


def present(files: str | Sequence[str], alone: bool) -> str | list[str]:
    """A file, or files, that the configuration names, as a rule's input: without those that are missing, so that `missing_files`
    can name the key of each, which Snakemake does not know.

    Args:
        files: the file or the files; those under results/ are made by the workflow.
        alone: whether no workflow around this one may make files for it.
    """
    if isinstance(files, str):
        return files if present([files], alone) else []
    return [file for file in files if file.startswith("results/") or not alone or Path(file).is_file()]


def file_or_folder(rows: str | Sequence[str]) -> str:
    """What `local_split` gave: the file, or the folder that the files lie in; empty where it is missing."""
    return rows if isinstance(rows, str) else os.path.commonpath(rows) if rows else ""


def missing_files(study: Study) -> list[str]:
    """What the configuration names and is not there, one sentence each.

    Snakemake itself does not look for the source of what stands made already, so that a wrong name would go unseen. Files
    under results/ are made by the workflow, and a model or data set that is no path is the hub's.
    """
    config = study.config
    files = [
        *(
            (f"datasets.{name}.splits.{split}", path)
            for name, dataset in config["datasets"].items()
            if dataset["adapter"] == "local"
            for split, path in dataset["splits"].items()
            if not Path(study.file(path)).is_dir()  # as `save_to_disk` leaves them
        ),
        *((f"audit.votes.{name}", path) for name, path in config["audit"]["votes"].items()),
        *((f"models.{name}.chat_template", model["chat_template"]) for name, model in config["models"].items()),
        *((f"judges.{name}.prompt", judge["prompt"]) for name, judge in config["judges"].items()),
        *(
            (f"judges.{name}.identified_by", path)
            for name, judge in config["judges"].items()
            for path in judge["identified_by"]
        ),
        *(
            (f"preference_models.{name}.training.pairs", path)
            for name, model in config["preference_models"].items()
            if model["training"]
            for path in _one_or_several(model["training"]["pairs"])
        ),
        *(
            (f"preference_models.{name}.held_out", path)
            for name, model in config["preference_models"].items()
            for path in _one_or_several(model["held_out"] or [])
        ),
    ]
    folders = {
        f"{section}.{name}.path": settings["path"]
        for section in ("models", "preference_models", "datasets")
        for name, settings in config[section].items()
        if settings["path"] and settings["path"].startswith((".", "/", "~"))
    }
    folders["capabilities.task_folder"] = config["capabilities"]["task_folder"]
    named = [(key, path, "file") for key, path in files if path] + [(k, p, "folder") for k, p in folders.items() if p]
    return [
        f"configuration: {key} names {path}, which is no {kind} here; correct the path, or bring the {kind}"
        for key, path, kind in named
        if not study.file(path).startswith("results/")
        and not (Path(study.file(path)).is_file() if kind == "file" else Path(study.file(path)).is_dir())
    ]


def on_cards(study: Study, policy: Policy) -> list[str]:
    """What a policy was made with and its name does not say, as `WHAT=NAME`."""
    conversations = study.config["models"][policy.model]["sft"]
    told = {"Conversations of SFT": conversations} if conversations else {}
    if policy.history:
        words = in_words(study)
        told |= {
            what: words[what] for what in (DATA, OTHER_DATA, "Preference model", "Labels of data sets") if what in words
        }
    return [f"{what}={name}" for what, name in told.items()]


def _one_or_several(files: str | list[str]) -> list[str]:
    return [files] if isinstance(files, str) else files


def quality_pairs(study: Study) -> list[str]:
    """What is judged for the quality of candidates, Appendix C.5."""
    pairs = labelled_quality_pairs(study)
    return [f"quality/{study.names.origin(candidates)}/against/{against}" for candidates, against in pairs]


def labelled_quality_pairs(study: Study) -> list[tuple[str, str]]:
    """The sources of candidates and of chosen responses."""
    pairs = study.config["quality"]["pairs"]
    return [(study.names.labelled(pair["candidates"]), study.names.labelled(pair["against"])) for pair in pairs]


def policies_of_rq1(study: Study) -> list[Policy]:
    """The policies of Table 2 that come of SFT policies, by a source that is known beforehand."""
    asked = "table2" in study.config["tables"] and study.config["quality"]["pairs"]
    trained = study.trained_policies("table2") if asked else []
    return [one for one in trained if len(one.history) == 1 and not one.chooses and one.replicate is None]


def responding_policies(study: Study) -> list[str]:
    """The policies of Table 10: those of one model in one table, the SFT policy first."""
    settings = study.config["responses"]
    one_run = (settings["model"], None, None)
    trained = [p for p in study.trained_policies(settings["table"]) if (p.model, p.seed, p.replicate) == one_run]
    return list(dict.fromkeys([f"{settings['model']}/sft", *(str(study.resolved(policy)) for policy in trained)]))


def lists_of_undecided(study: Study, table: str) -> list[str]:
    """The file that names a table's policies, where `auto` decides about one of them; see the rule list_policies."""
    undecided = any(policy.chooses for policy in study.trained_policies(table))
    return [f"results/tables/{table}_policies.txt"] if undecided else []


def labelled_for_report(study: Study) -> list[str]:
    """Whose candidates were labelled for the tables of the study, where that is known beforehand."""
    named = (Policy.parse(name) for table in study.config["tables"] for name in study.policies_of_table(table))
    return sorted({one for policy in named if policy.history for one in study.origins(policy.initial, policy.source)})


def compared_for_report(study: Study) -> list[str]:
    """The policies whose samples were compared for the boundary scores of the tables, as they were asked each data set's prompts."""
    policies = {policy for table in study.config["tables"] for policy in study.initial_policies_of_table(table)}
    return [str(asked) for policy in sorted(policies) for asked in study.asked(policy)]


def judged_for_report(study: Study) -> list[str]:
    """All that a judge compared for the tables of the study."""
    gamed = [f"{study.instruction_set}/{variant}" for variant in ("verbose", "concise")] if study.fitted_over else []
    tables = [(table, chosen) for table in study.config["tables"] for chosen in (False, True)]
    policies = {policy for table in tables for policy in study.policies_of_table(*table)}
    return [*sorted(policies), *gamed, *quality_pairs(study)]


def trained_for_report(study: Study) -> list[str]:
    """The trained policies of the tables of the study, whose trainings the report draws.

    One that was deleted after its evaluation has no curves: it is not trained again for them.
    """
    tables = [(table, chosen) for table in study.config["tables"] for chosen in (False, True)]
    policies = {Policy.parse(name) for table in tables for name in study.policies_of_table(*table)}
    return sorted(
        str(policy)
        for policy in policies
        if (policy.history or study.config["models"][policy.model]["sft"])
        and (
            Path(paths.training_log(policy)).exists() or not Path(paths.evaluation(policy, "annotations.json")).exists()
        )
    )


def of_the_paper(study: Study) -> list[str]:
    """The tables that stand in the paper as well."""
    return [table for table in study.config["tables"] if table in PAPER_TABLES]


def tables_of_report(study: Study) -> list[str]:
    """The tables of the report, in its order."""
    config, analyses = study.config, study.config["analyses"]
    there = {
        "data_sets": config["other_data"],
        **dict.fromkeys(config["tables"], True),
        "rq1": policies_of_rq1(study),
        "pairs": True,
        "table8": analyses["table8"],
        "quality": config["quality"]["pairs"],
        "intra_diversity": analyses["figure3"],
        "boundary_cost": analyses["boundary_cost"],
        **dict.fromkeys(("labels", "table6", "table7", "table9"), True),
    }
    return [table for table, shown in there.items() if shown]


def shows_boundary(study: Study, table: str) -> bool:
    """Whether a table's point is the boundary score, so that its figure belongs into the report."""
    return "boundary_score" in study.config["tables"][table]["columns"]


def followed(study: Study) -> str:
    """What `auto` goes by, and what it takes where that is undecided."""
    measured = {"boundary": "the boundary score", "race": "the race"}[study.config["decide_by"]]
    undecided = study.config["boundary"]["undecided"]
    return f"{measured}{'' if undecided == RECOMMENDED else f', and {undecided} where it is undecided'}"


def in_words(study: Study) -> dict[str, Any]:
    """What the report says of the study's origin, by name."""
    config = study.config
    return {
        "Models": ", ".join(
            f"{config['models'][model]['label']} ({config['models'][model]['path'] or 'made by the workflow'})"
            for model in dict.fromkeys(model for table in config["tables"].values() for model in table["models"])
        ),
        DATA: config["preference_data"],
        **({OTHER_DATA: ", ".join(config["other_data"])} if config["other_data"] else {}),
        "Preference model": config["preference_model"],
        **({"Labels of data sets": config["labels"]} if config["labels"] != own_labels.MODEL else {}),
        "What auto follows": followed(study),
        "Instructions": study.instruction_set,
        "Seeds": ", ".join(map(str, config["seeds"])),
        "Replicates": str(config["replicates"]),
        "Arithmetic": f"{study.dtype} on {'GPUs' if study.gpu else 'CPU cores'}",
    }
