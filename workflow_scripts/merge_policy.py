"""Make a policy whole of which an adapter alone is kept: its weights, the very bytes that its manifest lists, are written beside it.

Nothing that was made of the policy is made again for it. The weights may be deleted whenever nobody needs them.
"""

import argparse
from pathlib import Path

from dpo_stages.core.files import scratch_folder
from dpo_stages.core.program import finish, run
from dpo_stages.models.merging import absent_weights, make_weights, read_policy
from dpo_stages.models.weights import is_weights


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path, metavar="MANIFEST", help="of the policy, results/policies/…/manifest.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    files = read_policy(arguments.policy)["files"]
    folder = arguments.policy.parent
    absent = absent_weights(folder)
    if absent:
        with scratch_folder(folder) as scratch:
            make_weights(folder, scratch)
            for name in absent:
                (scratch / name).replace(folder / name)
    weights = [name for name in files if is_weights(name)]
    finish(folder / weights[0], len(weights), len(weights), {}, made=len(absent) or "none")


if __name__ == "__main__":
    run(main)
