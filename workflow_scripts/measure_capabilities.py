"""Measure what a policy can do beside pleasing a judge: accuracy on tasks of EleutherAI's lm-evaluation-harness.

Questions go through the policy's chat template, each alone or behind the task's examples; answers are decoded as the task says, greedily
as a rule, and a thought in front of an answer is left out. The output has for each task accuracy and standard error, the number of
questions, versions and all metrics.
"""

import argparse
from pathlib import Path

from dpo_stages.capabilities.harness import load_policy, load_tasks, measure
from dpo_stages.core.arguments import positive_int, seed
from dpo_stages.core.files import write_json
from dpo_stages.core.libraries import without_hub
from dpo_stages.core.program import finish, run
from dpo_stages.models.merging import read_policy


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--policy", type=Path, required=True, metavar="MANIFEST", help="the policy's manifest")
    add("--name", required=True, metavar="NAME", help="what tables call the policy")
    add("--tasks", nargs="+", required=True, metavar="NAME", help="as fetch_tasks.py got them")
    add("--task-folder", type=Path, metavar="FOLDER", help="with task files of one's own (YAML)")
    add("--limit", type=positive_int, metavar="N", help="first questions of each task (default: all)")
    add("--fewshot", type=int, metavar="N", help="examples before each question (default: the task's own)")
    add("--batch-size", type=positive_int, required=True, metavar="N", help="questions that are answered together")
    add("--dtype", required=True, choices=("float32", "bfloat16"), help="of the weights")
    add("--seed", type=seed, required=True, help="of the examples that are drawn")
    add("--output", type=Path, required=True, metavar="JSON")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    read_policy(arguments.policy)
    without_hub()
    tasks = load_tasks(arguments.tasks, arguments.task_folder)
    model = load_policy(arguments.policy.parent, arguments.dtype, arguments.batch_size)
    found = measure(model, tasks, arguments.limit, arguments.fewshot, arguments.seed)
    from importlib.metadata import version

    settings = {key: getattr(arguments, key) for key in ("limit", "fewshot", "batch_size", "dtype")}
    write_json(arguments.output, {"policy": arguments.name, **settings, "lm_eval": version("lm_eval"), "tasks": found})
    questions = sum(task["n"] for task in found.values())
    cut = sum(task["cut_prompts"] for task in found.values())
    accuracies = {name: task["accuracy"] for name, task in found.items()}
    finish(arguments.output, questions, questions, {}, cut_prompts=cut, **accuracies)


if __name__ == "__main__":
    run(main)
