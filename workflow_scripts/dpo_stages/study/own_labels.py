"""Whose labels the pairs of data sets have: the preference model's, those that the data set brings itself, or both. Standard library only."""

from dpo_stages.study.study import Study

MODEL, DATASET, AGREE = "model", "dataset", "agree"


def stand(study: Study, labelled: str) -> bool:
    """Whether the labels of a source are the data set's own, about which no preference model was asked."""
    return study.config["labels"] == DATASET and study.names.is_dataset(labelled)


def note(study: Study, data: str) -> list[str]:
    """What a boundary score's page says of those of `data`, in one paragraph; nothing where the preference model labels as it compares."""
    model = study.config["preference_model"]
    said = {
        DATASET: f"Labels: training on {data} takes the data set's own (`labels: dataset`). {model} compared candidates for the score "
        "above, but was not asked about these pairs, so how often it agrees with the data set is unknown here.",
        AGREE: f"Labels: training on {data} takes the pairs on which the data set's own label and {model} agree (`labels: agree`). How "
        "many these are is known once they are labelled: results/tables/labels.md.",
    }
    return [said[study.config["labels"]]] if study.config["labels"] in said else []
