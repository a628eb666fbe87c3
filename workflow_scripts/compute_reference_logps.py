"""Compute log pi_ref(y|x) of both responses of every preference pair under the reference model, once for all methods.

The reference model of an iteration is its initial policy. Responses are tokenised and cut exactly as train_policy.py
does; a pair whose prompt leaves no room for a response has no row.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.libraries import importing_libraries, quiet_libraries, without_hub
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import PREFERENCES, REFERENCE_LOGPS
from dpo_stages.data.shards import add_shard_flag, parse_shard
from dpo_stages.models.merging import read_policy
from dpo_stages.training.logps import add_scoring_flags, load_policy, response_logps


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, required=True, metavar="MANIFEST", help="the reference model's manifest")
    parser.add_argument("--preferences", type=Path, required=True, metavar="PARQUET", help="pairs of responses")
    add_scoring_flags(parser)
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    shard = parse_shard(arguments.shard)
    read_policy(arguments.policy)
    preferences = shard(read_table(arguments.preferences, PREFERENCES))
    without_hub()
    with importing_libraries():
        import pyarrow as pa

        from dpo_stages.models.chat_tokens import load_tokenizer
        from dpo_stages.models.preference_tokens import tokenize_preferences
        from dpo_stages.training.prefix_sharing import shares_prefix
    quiet_libraries()
    folder = arguments.policy.parent
    tokenizer = load_tokenizer(folder)
    tokens = tokenize_preferences(tokenizer, preferences, arguments.max_length)
    if not tokens.table.num_rows and shard.total == 1:  # another shard may have some
        raise BadInput(f"{arguments.preferences} has no pair that fits into --max-length {arguments.max_length} tokens")
    model = load_policy(folder, arguments.max_length, arguments.dtype)
    shared = shares_prefix(arguments.prefix_sharing, model.config, arguments.max_length)
    logps = response_logps(model, tokens.table, tokenizer.pad_token_id, arguments.dtype, shared)
    columns = [tokens.table["prompt_id"], pa.array(logps["chosen"]), pa.array(logps["rejected"])]
    rows = pa.table(columns, names=REFERENCE_LOGPS.names)
    write_table(arguments.output, rows, REFERENCE_LOGPS)
    means = {f"mean_{name}_logp": sum(values) / len(values) for name, values in logps.items() if values}
    finish(
        arguments.output,
        preferences.num_rows,
        rows.num_rows,
        tokens.dropped,
        **tokens.counts(),
        **means,
        prefix_sharing=shared,
    )


if __name__ == "__main__":
    run(main)
