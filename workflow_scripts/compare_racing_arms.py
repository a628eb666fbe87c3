"""Compare the responses of the arms of a race after one share of an epoch: every arm with every other, order by order.

Arms that were trained in the same order of their pairs, and sampled with the same random numbers, are compared with each other.
Both responses of a prompt count: the first of one arm is compared with the first of the other, the second with the second, each
in both orders of presentation, and a prompt's score is the mean of the four probabilities that the one arm's response is better.
decide_race.py says what follows.
"""

import argparse
from itertools import combinations

from dpo_stages.core.arguments import positive_float
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--samples", nargs="+", required=True, metavar="ARM=FILE", help="responses (Parquet) of on, on~2, off, off~2")
    add("--share", type=positive_float, required=True, help="of an epoch that the arms have trained for")
    add_preference_model_flags(parser)
    add("--output", required=True, metavar="FILE", help="Parquet")
    return parser.parse_args()


def read_arms(samples: list[str], thoughts: str) -> dict[int, dict[str, dict[str, dict]]]:
    """Rows by order, source and prompt, each with what is shown of its `responses`.

    Raises:
        BadInput: an argument is none, orders have different arms, or arms different prompts.
    """
    from dpo_stages.data.candidates import read_candidates
    from dpo_stages.data.thoughts import shown, whole_responses

    orders: dict[int, dict[str, dict[str, dict]]] = {}
    for argument in samples:
        arm, _, file = argument.partition("=")
        source, _, number = arm.partition("~")
        if not source or not file or not (number or "1").isdecimal():
            raise BadInput(f"--samples {argument} is not of the form ARM=FILE or ARM~ORDER=FILE")
        rows = {row["prompt_id"]: row for row in read_candidates(file).to_pylist()}
        for row in rows.values():
            row["responses"] = [shown(text, thoughts) for text in whole_responses(row)]
        orders.setdefault(int(number or 1), {})[source] = rows
    first = next(iter(orders.values()))
    prompts = next(iter(first.values())).keys()
    for order, arms in orders.items():
        if arms.keys() != first.keys() or len(arms) < 2:
            raise BadInput(f"order {order} has the arms {', '.join(arms)}; each needs the same, and two at least")
        for source, rows in arms.items():
            if rows.keys() != prompts:
                raise BadInput(f"the arm {source} of order {order} was asked other prompts; sample all arms on the same")
    return dict(sorted(orders.items()))


def main() -> None:
    arguments = parse_arguments()
    import numpy as np

    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.schemas import RACE_LOOK
    from dpo_stages.preferences.pairs import Pair, ask

    options = options_from(arguments)
    orders = read_arms(arguments.samples, options.thoughts)
    keys = [
        (order, prompt_id, *arms)
        for order, by_source in orders.items()
        for arms in combinations(by_source, 2)
        for prompt_id in by_source[arms[0]]
    ]
    rows = [[orders[order][arm][prompt_id] for arm in arms] for order, prompt_id, *arms in keys]
    pairs = [
        Pair(first["prompt"], *texts)
        for first, second in rows
        for texts in zip(first["responses"], second["responses"], strict=True)
    ]
    model = open_preference_model(arguments.preference_model, options)
    verdicts, counts = ask(model, pairs)
    better = (1 / (1 + np.exp(-verdicts.orders.astype(np.float64)))).mean(axis=1).reshape(-1, 2)
    flips = verdicts.order_flips.reshape(-1, 2).sum(axis=1)
    table = [
        {
            "prompt_id": prompt_id,
            "run": order,
            "share": arguments.share,
            "arm_1": arm_1,
            "arm_2": arm_2,
            "arm_1_preferred": float(score),
            "order_flips": int(flip),
            **{
                f"{what}_{number}": of(row)
                for number, row in enumerate(both, start=1)
                for what, of in (("length", mean_length), ("truncated", truncated))
            },
        }
        for (order, prompt_id, arm_1, arm_2), both, score, flip in zip(keys, rows, better.mean(axis=1), flips, strict=True)
    ]
    write_table(arguments.output, table, RACE_LOOK)
    finish(arguments.output, len(rows), len(table), {}, preference_model=model.name, share=arguments.share, **counts)


def mean_length(row: dict) -> float:
    """Of a prompt's responses, in characters that are shown."""
    return sum(map(len, row["responses"])) / 2


def truncated(row: dict) -> int:
    """How many of them were cut at the limit of their length."""
    return bool(row["truncated_1"]) + bool(row["truncated_2"])


if __name__ == "__main__":
    run(main)
