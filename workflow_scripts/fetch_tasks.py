"""Get the tasks that measure what policies can do, and what they ask, from the hub or from files here.

The output names each task with its version and number of questions. Jobs that measure read the same from the hub's cache: they need no
internet.
"""

import argparse
from pathlib import Path

from dpo_stages.capabilities.harness import load_tasks
from dpo_stages.core.files import fingerprint, write_json
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", required=True, metavar="NAME", help="of the harness, or of the folder")
    parser.add_argument("--task-folder", type=Path, metavar="FOLDER", help="with task files of one's own (YAML)")
    parser.add_argument("--output", type=Path, required=True, metavar="JSON")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    tasks = load_tasks(arguments.tasks, arguments.task_folder)
    found = {
        name: {"version": str(task.VERSION), "questions": len(task.eval_docs), "data": task.config.dataset_path}
        for name, task in tasks.items()
    }
    folder = fingerprint(arguments.task_folder, ["**/*"]) if arguments.task_folder else None
    write_json(arguments.output, {"tasks": found, "task_folder": folder})
    finish(
        arguments.output,
        len(arguments.tasks),
        len(found),
        {},
        questions=sum(task["questions"] for task in found.values()),
    )


if __name__ == "__main__":
    run(main)
