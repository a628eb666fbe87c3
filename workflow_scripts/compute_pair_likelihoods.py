"""Compute the log-probabilities of an audit's drawn pairs, of several sources, under one policy.

Responses are tokenised and cut exactly as in training. Sums over their tokens, with the number of tokens beside them. Pairs whose
prompt leaves no room for a response are counted and left out.
"""

import argparse
from pathlib import Path

from dpo_stages.audit.columns import PAIR_LIKELIHOODS
from dpo_stages.audit.drawing import add_drawing_flags, draw_pairs
from dpo_stages.core.libraries import importing_libraries, quiet_libraries, without_hub
from dpo_stages.core.parquet import write_table
from dpo_stages.core.program import finish, run
from dpo_stages.models.merging import read_policy
from dpo_stages.training.logps import add_scoring_flags, load_policy, response_logps


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--policy", type=Path, required=True, metavar="MANIFEST", help="the policy's manifest")
    add("--sources", nargs="+", required=True, metavar="NAME", help="names of the sources")
    add("--preferences", nargs="+", type=Path, required=True, metavar="PARQUET", help="their pairs, one file each")
    add_drawing_flags(parser)
    add_scoring_flags(parser)
    add("--output", type=Path, required=True, metavar="PARQUET")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    read_policy(arguments.policy)
    drawn = [draw_pairs(path, arguments.pairs, arguments.seed)[0] for path in arguments.preferences]
    without_hub()
    with importing_libraries():
        from dpo_stages.models.chat_tokens import load_tokenizer
        from dpo_stages.models.preference_tokens import tokenize_preferences
        from dpo_stages.training.prefix_sharing import shares_prefix
    quiet_libraries()
    folder = arguments.policy.parent
    tokenizer = load_tokenizer(folder)
    tokens = [tokenize_preferences(tokenizer, table, arguments.max_length) for table in drawn]
    model = load_policy(folder, arguments.max_length, arguments.dtype)
    shared = shares_prefix(arguments.prefix_sharing, model.config, arguments.max_length)
    rows = []
    for source, tokenized in zip(arguments.sources, tokens, strict=True):
        logps = response_logps(model, tokenized.table, tokenizer.pad_token_id, arguments.dtype, shared)
        for number, pair in enumerate(tokenized.table.to_pylist()):
            row = {"source": source, "prompt_id": pair["prompt_id"]}
            for side in ("chosen", "rejected"):
                row |= {f"{side}_logp": logps[side][number], f"{side}_tokens": len(pair[f"{side}_ids"])}
            rows.append(row)
    write_table(arguments.output, rows, PAIR_LIKELIHOODS)
    dropped = {reason: sum(one.dropped[reason] for one in tokens) for reason in tokens[0].dropped}
    counts = {name: sum(one.counts()[name] for one in tokens) for name in tokens[0].counts()}
    finish(
        arguments.output, sum(table.num_rows for table in drawn), len(rows), dropped, **counts, prefix_sharing=shared
    )


if __name__ == "__main__":
    run(main)
