"""Compare the outputs of the two arms of an initial policy under the preference model that labels.

The arms are the policies that one more iteration makes of the initial policy, on off-policy candidates or on its own samples;
what is compared are their outputs for the same instructions, in both orders. The boundary score is relative to this preference
model, so this says whether the recommended arm is the better one by the model's own lights.
"""

import argparse

from dpo_stages.core.program import finish, run
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--off-policy", required=True, metavar="FILE", help="model_outputs.json of the off-policy arm")
    add("--on-policy", required=True, metavar="FILE", help="model_outputs.json of the on-policy arm")
    add("--instructions", required=True, metavar="FILE", help="instruction set (Parquet) that both answered")
    add_preference_model_flags(parser)
    add("--output", required=True, metavar="FILE", help="Parquet")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.parquet import write_table
    from dpo_stages.evaluation.annotations import read_output_pairs, read_prompts, show_pairs
    from dpo_stages.evaluation.arms import ARMS_SCHEMA
    from dpo_stages.preferences.pairs import Pair, ask, vote

    options = options_from(arguments)
    off_rows, on_rows = (
        read_output_pairs(path, arguments.instructions) for path in (arguments.off_policy, arguments.on_policy)
    )
    off_policy, on_policy = (rows[0]["generator_2"] for rows in (off_rows, on_rows))
    both = [{**of_on, "output_1": of_off["output_2"]} for of_off, of_on in zip(off_rows, on_rows, strict=True)]
    rows, thoughts = show_pairs(both, options.thoughts)
    prompts = read_prompts(arguments.instructions)
    model = open_preference_model(arguments.preference_model, options)
    pairs = [Pair(prompts[row["index"]], row["output_1"], row["output_2"]) for row in rows]
    verdicts, counts = ask(model, pairs)
    compared = [
        {
            "index": row["index"],
            "prompt_id": row["prompt_id"],
            "off_policy": off_policy,
            "on_policy": on_policy,
            "logit": logit,
            "off_policy_preferred": vote(logit),
            "order_flip": flip,
        }
        for row, logit, flip in zip(rows, verdicts.logits.tolist(), verdicts.order_flips.tolist(), strict=True)
    ]
    write_table(arguments.output, compared, ARMS_SCHEMA)
    preferred = sum(row["off_policy_preferred"] for row in compared) / len(compared)
    finish(
        arguments.output,
        len(rows),
        len(compared),
        {},
        preference_model=model.name,
        off_policy_preferred=preferred,
        truncated=sum(bool(row.get("truncated")) for row in (*off_rows, *on_rows)),
        **counts,
        **thoughts,
    )


if __name__ == "__main__":
    run(main)
