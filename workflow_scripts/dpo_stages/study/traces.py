"""How a policy came about and what that took, from the ledgers beside its preference data. Standard library only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpo_stages.core.files import read_json
from dpo_stages.core.ledgers import ledger

TRAIN = "train"
BY_DATASET = "data set"  # of the ledgers of take_own_labels.py, for which no label was made


def trace(steps: Sequence[Mapping[str, Any]], split: str) -> dict[str, Any]:
    """The iterations of a policy with their decisions, the samples that were drawn and the labels that were made.

    Args:
        steps: one mapping an iteration, oldest first: `policy` that it made, `initial_policy`, `named_source` of the
            history, `source` that it stands for, `candidates` that are sampled of a prompt; files `decision` (of `auto`), `boundary` (of `blend`, and of `auto`
            unless races decide), `race` (of `auto` if they do) and `mixture` (of mixNN and `blend`), null where there is none;
            `other_boundaries`, a list of those against other data sets where `auto` chose among several; and `preferences`, a list of the pairs' `origin`, a
            policy or a data set, with their `file`, and whether the origin was `sampled`, and from the initial policy
            (`own`).
        split: of the preference data whose prompts are compared for boundary scores.

    Returns:
        `resolved_policy`, `steps`, `samples_drawn` in responses and `labels_made` in pairs.
    """
    samples: dict[tuple[str, str], int] = {}
    labels: dict[tuple[str, str], int] = {}

    def count(where: dict[tuple[str, str], int], origin: str, what: str, number: int) -> None:
        where[origin, what] = max(number, where.get((origin, what), 0))  # nested: the larger holds the smaller

    told = []
    for step in steps:
        line = {name: step[name] for name in ("policy", "initial_policy", "named_source", "source")}
        mixed = None if step["mixture"] is None else ledger(Path(step["mixture"]))
        if mixed is not None:
            line["on_policy_share"] = mixed["on_policy_share"]
        for pairs in step["preferences"]:
            made = ledger(Path(pairs["file"]))
            if mixed is None:
                number = made["rows_in"]
                if "on_policy_share" in made:  # of own and off-policy candidates together
                    line["on_policy_share"] = made["on_policy_share"]
            else:
                number = mixed["on_policy_prompts" if pairs["own"] else "off_policy_prompts"]
            if made.get("labelled_by") != BY_DATASET:
                count(labels, pairs["origin"], TRAIN, round(number * a_prompt(made, "compared_pairs", 1)))
            if pairs["sampled"]:
                count(samples, pairs["origin"], TRAIN, round(number * a_prompt(made, "samples", step["candidates"])))
        if step["boundary"] is not None:
            measured = [read_json(file) for file in (step["boundary"], *step["other_boundaries"])]
            line |= {
                name: measured[0][name] for name in ("boundary_score", "interval", "verdict", "recommended_source")
            }
            line["warnings"] = [
                f"against {one['preference_data']}: {warning}" if len(measured) > 1 else warning
                for one in measured
                for warning in one["warnings"]
            ]
            for one in measured:
                count(samples, one["policy"], split, step["candidates"] * one["prompts"])
                count(labels, one["policy"], "boundary score", one["comparisons"])
        if step["race"] is not None:
            race = read_json(step["race"])
            line |= {"verdict": race["verdict"], "race_leader": race["leader"], "race_epochs": race["cost"]["epochs"]}
            count(samples, step["initial_policy"], "race", race["cost"]["responses"])
        if step["decision"] is not None:
            decision = read_json(step["decision"])
            line["decided_by"] = decision["decided_by"]
            if "order" in decision:
                line |= {"compared_with": measured[0]["preference_data"], "order": decision["order"]}
        told.append(line)
    return {
        "resolved_policy": steps[-1]["policy"],
        "samples_drawn": sum(samples.values()),
        "labels_made": sum(labels.values()),
        "steps": told,
    }


def a_prompt(made: Mapping[str, Any], what: str, of_pairs: int) -> float:
    """How many of something a prompt took, by the ledger of its pairs; `of_pairs` where they were labelled as pairs."""
    return made[what] / max(1, made["rows_in"]) if what in made else of_pairs
