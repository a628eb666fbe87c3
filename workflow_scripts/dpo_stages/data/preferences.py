"""Pairs of which one response is chosen, made of candidates: by whatever says which, the data set that they come from included."""

import os
from collections.abc import Iterable, Mapping

from dpo_stages.core.errors import BadInput

NO_OWN_LABEL, OTHER_OWN_LABEL = "no label of their own", "another label of their own"
"""Reasons, in ledgers, why pairs of a data set are left out."""
BY_MODEL, BY_DATASET, BY_BOTH = "preference model", "data set", "both"
"""Who labelled, as ledgers and tables say it; a ledger that does not say it is of the preference model."""


def preference(
    row: Mapping, chosen: int, logit: float | None = None, order_flip: bool | None = None, agrees: bool | None = None
) -> dict:
    """A row of `schemas.PREFERENCES`.

    Args:
        row: of `schemas.CANDIDATES`.
        chosen: 1 or 2, the preferred response.
        logit, order_flip: what the preference model says; None where it was not asked.
        agrees: whether the data set's own label is the same; None where it has none.
    """
    rejected = 3 - chosen
    return {
        "prompt_id": row["prompt_id"],
        "prompt": row["prompt"],
        "chosen": row[f"response_{chosen}"],
        "rejected": row[f"response_{rejected}"],
        "logit": logit,
        "chosen_first": chosen == 1,
        "order_flip": order_flip,
        "original_agrees": agrees,
        "chosen_truncated": row[f"truncated_{chosen}"],
        "rejected_truncated": row[f"truncated_{rejected}"],
        "chosen_ids": row[f"ids_{chosen}"],
        "rejected_ids": row[f"ids_{rejected}"],
        "vocabulary": row["vocabulary"],
        "opens_thought": row["opens_thought"],
    }


def require_own_labels(labels: Iterable[int | None], path: str | os.PathLike) -> None:
    """Make sure that candidates have any label of their own.

    Args:
        labels: the column `original_preference`.
        path: where they lie.

    Raises:
        BadInput: they have none.
    """
    if all(label is None for label in labels):
        raise BadInput(
            f"{path} has no pair with a label of its own; with `labels: model` the preference model labels them"
        )
