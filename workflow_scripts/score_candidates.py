"""Compare every two candidates of a prompt with the preference model, and score each by its mean margin against the others.

Candidates of a data set or of a policy, two or more a prompt; of two files together, such as a policy's own and off-policy
ones, with a second --candidates: n candidates make n(n - 1)/2 pairs, each read in both orders. A reward model reads each
candidate once. pair_candidates.py makes pairs of them by any rule, without asking again.

Of a response that thinks before it answers (<think>…</think>) the model is shown the answer; --thoughts show shows it all.
"""

import argparse
from itertools import combinations
from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.data.shards import add_shard_flag, parse_shard
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=Path, nargs="+", required=True, metavar="PARQUET", help="one file, or two")
    add_preference_model_flags(parser)
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.candidates import pooled, read_groups, truncated_responses
    from dpo_stages.data.schemas import SCORES
    from dpo_stages.data.thoughts import count_thoughts, shown
    from dpo_stages.preferences.margins import Margins
    from dpo_stages.preferences.pairs import Pair, ask

    options = options_from(arguments)
    own, *others = map(read_groups, arguments.candidates)
    groups = parse_shard(arguments.shard)(pooled(own, others[0]) if others else own)
    model = open_preference_model(arguments.preference_model, options)
    texts = [[shown(candidate.whole, options.thoughts) for candidate in group.candidates] for group in groups]
    pairs = [
        Pair(group.prompt, first, second)
        for group, said in zip(groups, texts, strict=True)
        for first, second in combinations(said, 2)
    ]
    verdicts, counts = ask(model, pairs)
    logits, flips = verdicts.logits.tolist(), verdicts.order_flips.tolist()
    rows, start = [], 0
    for group in groups:
        number = len(group.candidates)
        end = start + number * (number - 1) // 2
        margins = Margins.of_pairs(number, logits[start:end], flips[start:end])
        rows.append(
            {
                "prompt_id": group.prompt_id,
                "scores": margins.scores(range(number)).tolist(),
                "logits": logits[start:end],
                "order_flips": flips[start:end],
            }
        )
        start = end
    write_table(arguments.output, rows, SCORES)
    candidates = [candidate for group in groups for candidate in group.candidates]
    finish(
        arguments.output,
        len(groups),
        len(rows),
        {},
        preference_model=model.name,
        candidates=len(candidates),
        **counts,
        **truncated_responses(candidate.truncated for candidate in candidates),
        **count_thoughts((candidate.whole for candidate in candidates), options.thoughts),
    )


if __name__ == "__main__":
    run(main)
