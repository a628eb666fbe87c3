"""Which policies are measured on tasks beside their win rates, and what that takes. Standard library only."""

from collections.abc import Callable
from typing import Any

from dpo_stages.core.files import fingerprint
from dpo_stages.study.resources import Needs
from dpo_stages.study.study import Study

TASKS = "results/capabilities/tasks.json"
"""The tasks as they were fetched."""

QUESTIONS = 1000  # of a task without a limit: GSM8K has 1,319, IFEval 541
SLOWER = 10  # than vLLM, per answer: Transformers waits for the longest of each batch


def of_table(study: Study, table: str, chosen: bool = False) -> list[str]:
    """Files of a table's policies that are known beforehand, or, if `chosen`, of those that `auto` chose."""
    if table not in study.config["capabilities"]["tables"]:
        return []
    return [f"results/capabilities/{policy}.json" for policy in study.policies_of_table(table, chosen)]


def content(study: Study) -> str:
    """What the folder of task files holds, a parameter of the rule that reads it; empty without one."""
    folder = study.config["capabilities"]["task_folder"]
    return fingerprint(study.file(folder), ["**/*"]) if folder else ""


def seconds(study: Study, needs: Needs) -> Callable[[Any], float]:
    """Expected time of measuring a policy."""
    settings = study.config["capabilities"]
    questions = SLOWER * len(settings["tasks"]) * (settings["limit"] or QUESTIONS)
    return lambda wildcards: needs.speeds.sample(needs.parameters(wildcards), questions)
