"""Take a model as a policy without training.

That is a base model which follows instructions already, as the policy of iteration 0; or the policy that a history with
`auto` in it stands for. The policy's files are hard links to the model's, so that it takes no space. Of a policy that is kept as an adapter, the adapter is linked.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import replacing_folder, sha256
from dpo_stages.core.manifests import MANIFEST, link_files, write_manifest
from dpo_stages.core.program import finish, run
from dpo_stages.models.merging import absent_weights, read_policy
from dpo_stages.study.policies import Policy


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="MANIFEST", help="the base model or policy")
    parser.add_argument("--policy", required=True, metavar="NAME", help="name of the policy: MODEL/sft, or with auto")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )
    arguments = parser.parse_args()
    policy = Policy.parse(arguments.policy)
    if policy.iteration and not policy.chooses:
        raise BadInput(
            f"--policy {arguments.policy}: a policy that is not trained here is named MODEL/sft, or leaves a source to auto"
        )
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the files beside it; got {arguments.output}")
    if arguments.output.resolve() == arguments.model.resolve():
        raise BadInput(f"--output {arguments.output} is the model itself")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    model = read_policy(arguments.model)
    names, absent = list(model.pop("files")), absent_weights(arguments.model.parent)
    about = {"policy": arguments.policy, "model": model, "inputs": {"model": sha256(arguments.model)}}
    with replacing_folder(arguments.output.parent) as folder:
        link_files(arguments.model.parent, (name for name in names if name not in absent), folder)
        write_manifest(folder, about, absent)
    finish(arguments.output, len(names), len(names), {})


if __name__ == "__main__":
    run(main)
