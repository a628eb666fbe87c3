"""Write down how a policy came about: the source of each iteration, who chose it and why, and what all of it took.

Samples drawn are responses of policies; labels made are pairs that the preference model compared, for training and for
boundary scores. Both count what this history needs: a mixture needs samples of its on-policy prompts alone, though the
workflow samples all prompts, once, for every arm that wants them. What serves two iterations is counted once.
"""

import argparse
import json
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", required=True, metavar="NAME", help="the policy, perhaps with auto in its history")
    parser.add_argument("--steps", required=True, metavar="JSON", help="its iterations, see dpo_stages/study/traces.py")
    parser.add_argument(
        "--split", required=True, metavar="NAME", help="split of the preference data that is measured on"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="OUT.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import write_json
    from dpo_stages.study.policies import Policy
    from dpo_stages.study.traces import trace

    policy = Policy.parse(arguments.policy)
    try:
        steps = json.loads(arguments.steps)
    except ValueError as error:
        raise BadInput(f"--steps is not valid JSON: {error}") from error
    traced = {"policy": str(policy), **trace(steps, arguments.split)}
    write_json(arguments.output, traced)
    about = {name: traced[name] for name in ("resolved_policy", "samples_drawn", "labels_made")}
    finish(arguments.output, len(steps), len(traced["steps"]), {}, **about)


if __name__ == "__main__":
    run(main)
