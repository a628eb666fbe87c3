"""Ask a yardstick, a preference model that did not label, about pairs of a source that were drawn for an audit.

Of each drawn pair it says which response is better, the chosen or the rejected one, asked in both orders. With --against it is
asked about the chosen responses of two sources instead, on the prompts that are drawn of both.

Of a response that thinks before it answers the answer is shown alone, unless --thoughts says otherwise. A judge's answers are
kept in --cache one by one: a run that is broken off, or asked for more pairs, pays for those that are missing.
"""

import argparse
from pathlib import Path

from dpo_stages.audit.drawing import add_drawing_flags
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--preferences", type=Path, required=True, metavar="PARQUET", help="of label_preferences.py")
    add("--against", type=Path, metavar="PARQUET", help="of another source: its chosen responses are the second ones")
    add_drawing_flags(parser)
    add_preference_model_flags(parser)
    add("--output", type=Path, required=True, metavar="PARQUET")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.audit.columns import ANSWERS
    from dpo_stages.audit.drawing import as_shown, draw_pairs
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.thoughts import count_thoughts
    from dpo_stages.preferences.pairs import Pair, ask, vote

    options = options_from(arguments)
    table, there = draw_pairs(arguments.preferences, arguments.pairs, arguments.seed)
    rows = [as_shown(row, options.thoughts) for row in table.to_pylist()]
    dropped = {"not drawn": there - len(rows)}
    if arguments.against is None:
        seconds = {row["prompt_id"]: row["rejected"] for row in rows}
    else:
        other, _ = draw_pairs(arguments.against, arguments.pairs, arguments.seed)
        seconds = {row["prompt_id"]: as_shown(row, options.thoughts)["chosen"] for row in other.to_pylist()}
        dropped["not drawn of the other source"] = sum(row["prompt_id"] not in seconds for row in rows)
        rows = [row for row in rows if row["prompt_id"] in seconds]
        if not rows:
            raise BadInput(
                f"{arguments.preferences} and {arguments.against} share no drawn prompt; give sources of one data set's prompts"
            )
    pairs = [Pair(row["prompt"], row["chosen"], seconds[row["prompt_id"]]) for row in rows]
    model = open_preference_model(arguments.preference_model, options)
    verdicts, counts = ask(model, pairs)
    answers = [
        {
            "prompt_id": row["prompt_id"],
            "preferred": vote(logit),
            "logit": logit,
            "order_flip": flip,
            "first_length": len(pair.response_1),
            "second_length": len(pair.response_2),
        }
        for row, pair, logit, flip in zip(
            rows, pairs, verdicts.logits.tolist(), verdicts.order_flips.tolist(), strict=True
        )
    ]
    write_table(arguments.output, answers, ANSWERS)
    texts = (text for pair in pairs for text in (pair.response_1, pair.response_2))
    counts |= count_thoughts(texts, options.thoughts)
    finish(arguments.output, there, len(answers), dropped, preference_model=model.name, **counts)


if __name__ == "__main__":
    run(main)
