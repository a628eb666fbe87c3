"""Judge a policy's outputs against the references of their instruction set with a preference model.

Writes the same annotations.json as judge_outputs.py: alpaca-eval's own format, preference = 1 + the probability that the
policy's output is the better one, which is the sigmoid of the preference model's logit.
"""

import argparse

from dpo_stages.core.program import finish, run
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", required=True, metavar="FILE", help="model_outputs.json of the policy")
    parser.add_argument(
        "--instructions", required=True, metavar="FILE", help="instruction set (Parquet) with references"
    )
    add_preference_model_flags(parser)
    parser.add_argument("--output", required=True, metavar="FILE", help="annotations.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    import numpy as np

    from dpo_stages.evaluation.annotations import read_output_pairs, read_prompts, show_pairs, write_annotations
    from dpo_stages.judges.record import describe_judge, judge_record
    from dpo_stages.preferences.pairs import Pair, ask

    options = options_from(arguments)
    rows, thoughts = show_pairs(read_output_pairs(arguments.outputs, arguments.instructions), options.thoughts)
    prompts = read_prompts(arguments.instructions)
    model = open_preference_model(arguments.preference_model, options)
    pairs = [Pair(prompts[row["index"]], row["output_2"], row["output_1"]) for row in rows]
    verdicts, counts = ask(model, pairs)
    preferences = 1 + 1 / (1 + np.exp(-verdicts.logits.astype(np.float64)))
    judge = judge_record(model.name, model.version, "pairwise comparison in both orders", "preference-model")
    write_annotations(arguments.output, rows, preferences.tolist(), judge)
    finish(arguments.output, len(rows), len(rows), {}, judge=describe_judge(judge), **counts, **thoughts)


if __name__ == "__main__":
    run(main)
