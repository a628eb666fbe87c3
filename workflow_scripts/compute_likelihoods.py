"""Compute log pi(y|x) of a policy's own candidates and of the off-policy candidates of the same prompts.

Under the policy itself: what Table 8 and the preference consistency (equation 10) stand on. Responses are cut exactly as in
training; its own are the tokens that it drew, others are tokenised, and all end with the token that ends the turn, unless they
were cut. Sums over their tokens, not normalised by length. Prompts that only one of the two files has, or that leave no room
for a response, are counted and left out.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.libraries import importing_libraries, quiet_libraries, without_hub
from dpo_stages.core.parquet import write_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.candidates import read_candidates
from dpo_stages.data.schemas import LIKELIHOODS
from dpo_stages.models.merging import read_policy
from dpo_stages.training.logps import add_scoring_flags, load_policy


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, required=True, metavar="MANIFEST", help="the policy's manifest")
    parser.add_argument("--on-policy", type=Path, required=True, metavar="PARQUET", help="the policy's own samples")
    parser.add_argument("--off-policy", type=Path, required=True, metavar="PARQUET", help="other candidates")
    add_scoring_flags(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    read_policy(arguments.policy)
    on_policy, off_policy = map(read_candidates, (arguments.on_policy, arguments.off_policy))
    if not {*on_policy["prompt_id"].to_pylist()} & {*off_policy["prompt_id"].to_pylist()}:
        raise BadInput(
            f"{arguments.on_policy} and {arguments.off_policy} share no prompt; give candidates of one split"
        )
    without_hub()
    with importing_libraries():
        from dpo_stages.models.chat_tokens import load_tokenizer
        from dpo_stages.training.likelihoods import candidate_likelihoods
        from dpo_stages.training.prefix_sharing import shares_prefix
    quiet_libraries()
    folder = arguments.policy.parent
    model = load_policy(folder, arguments.max_length, arguments.dtype)
    shared = shares_prefix(arguments.prefix_sharing, model.config, arguments.max_length)
    rows, dropped, counts = candidate_likelihoods(
        model,
        load_tokenizer(folder),
        on_policy,
        off_policy,
        arguments.max_length,
        arguments.dtype,
        shared,
    )
    if not rows.num_rows:
        raise BadInput(f"no prompt of {arguments.on_policy} fits into --max-length {arguments.max_length} tokens")
    write_table(arguments.output, rows, LIKELIHOODS)
    prompts = rows.num_rows // 4
    finish(arguments.output, prompts + sum(dropped.values()), prompts, dropped, **counts, prefix_sharing=shared)


if __name__ == "__main__":
    run(main)
