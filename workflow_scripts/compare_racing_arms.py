"""Compare the responses of the arms of a race after one share of an epoch: every arm with every other, order by order.

Arms that were trained in the same order of their pairs, and sampled with the same random numbers, are compared with each other.
Both responses of a prompt count: the first of one arm is compared with the first of the other, the second with the second, each
in both orders of presentation, and a prompt's score is the mean of the four probabilities that the one arm's response is better.
decide_race.py says what follows.

With --shares prompts are taken in seeded blocks, and no more are asked about once that decides all that this look can: a judge is
paid for by the answer.
"""

import argparse
import time
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_boundary import errors
from dpo_stages.core.arguments import confidence, positive_float, positive_int, seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from

if TYPE_CHECKING:
    from dpo_stages.preferences.pairs import Pair, Verdicts

Orders = dict[int, dict[str, dict[str, dict]]]  # order, source, prompt: a row of candidates
Key = tuple[int, str, str, str]  # order, prompt, two sources


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--samples", nargs="+", required=True, metavar="ARM=FILE", help="responses (Parquet) of on, on~2, off, off~2")
    add("--share", type=positive_float, required=True, help="of an epoch that the arms have trained for")
    add(
        "--shares",
        nargs="+",
        type=positive_float,
        help="of an epoch, all looks that may come: stop once all is decided",
    )
    add("--starting-arms", type=positive_int, metavar="N", help="sources that the race began with; with --shares")
    add("--confidence", type=confidence, help="of the decision; with --shares")
    add("--seed", type=seed, help="of the order of the prompts; with --shares")
    add(
        "--length-control",
        type=Path,
        metavar="JSON",
        help="of check_length_control.py; with --shares, where there is one",
    )
    add_preference_model_flags(parser)
    add("--output", required=True, metavar="FILE", help="Parquet")
    arguments = parser.parse_args()
    if arguments.shares and None in (arguments.starting_arms, arguments.confidence, arguments.seed):
        parser.error("--shares needs --starting-arms, --confidence and --seed")
    return arguments


def read_arms(samples: list[str], thoughts: str) -> Orders:
    """Rows by order, source and prompt, each with what is shown of its `responses`.

    Raises:
        BadInput: an argument is none, orders have different arms, or arms different prompts.
    """
    from dpo_stages.data.candidates import read_candidates
    from dpo_stages.data.thoughts import shown, whole_responses

    orders: Orders = {}
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
                raise BadInput(
                    f"the arm {source} of order {order} was asked other prompts; sample all arms on the same"
                )
    return dict(sorted(orders.items()))


def main() -> None:
    arguments = parse_arguments()
    from dpo_boundary.blocks import nested_blocks
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.schemas import RACE_LOOK
    from dpo_stages.evaluation.length_validity import read_length_control
    from dpo_stages.preferences.pairs import Verdicts, compared, joined, report

    options = options_from(arguments)
    orders = read_arms(arguments.samples, options.thoughts)
    prompts = next(iter(next(iter(orders.values())).values())).keys()
    model = open_preference_model(arguments.preference_model, options)
    blocks = nested_blocks(prompts, arguments.seed) if arguments.shares else [[*prompts]]
    length_controlled = read_length_control(arguments.length_control)[0] is True
    started = time.monotonic()
    pairs: list[Pair] = []
    parts: list[Verdicts] = []
    table: list[dict] = []
    for block in blocks:
        keys, of_block = pairs_of(orders, block)
        pairs += of_block
        parts.append(compared(model, of_block))
        table += rows_of(keys, orders, parts[-1], arguments.share)
        if arguments.shares and not open_pairs(table, arguments, length_controlled):
            break
    counts = report(pairs, joined(parts), time.monotonic() - started)
    write_table(arguments.output, table, RACE_LOOK)
    asked = len({row["prompt_id"] for row in table})
    dropped = {"not asked, as all is decided": len(prompts) - asked}
    finish(arguments.output, len(prompts), asked, dropped, preference_model=model.name, share=arguments.share, **counts)


def pairs_of(orders: Orders, prompts: Iterable[str]) -> "tuple[list[Key], list[Pair]]":
    """What is compared on these prompts: keys, and two pairs for each, of the first responses and of the second."""
    from dpo_stages.preferences.pairs import Pair

    keys = [
        (order, prompt_id, *arms)
        for order, by_source in orders.items()
        for arms in combinations(by_source, 2)
        for prompt_id in prompts
    ]
    both = [[orders[order][arm][prompt_id] for arm in arms] for order, prompt_id, *arms in keys]
    pairs = [
        Pair(first["prompt"], *texts)
        for first, second in both
        for texts in zip(first["responses"], second["responses"], strict=True)
    ]
    return keys, pairs


def rows_of(keys: list[Key], orders: Orders, verdicts: "Verdicts", share: float) -> list[dict]:
    """Rows of `schemas.RACE_LOOK`."""
    import numpy as np

    better = (1 / (1 + np.exp(-verdicts.orders.astype(np.float64)))).mean(axis=1).reshape(-1, 2).mean(axis=1)
    flips = verdicts.order_flips.reshape(-1, 2).sum(axis=1)
    return [
        {
            "prompt_id": prompt_id,
            "run": order,
            "share": share,
            "arm_1": arms[0],
            "arm_2": arms[1],
            "arm_1_preferred": score,
            "order_flips": flip,
            **{
                f"length_{number}": mean_length(orders[order][arm][prompt_id])
                for number, arm in enumerate(arms, start=1)
            },
            **{
                f"truncated_{number}": truncated(orders[order][arm][prompt_id])
                for number, arm in enumerate(arms, start=1)
            },
        }
        for (order, prompt_id, *arms), score, flip in zip(keys, better.tolist(), flips.tolist(), strict=True)
    ]


def open_pairs(table: list[dict], arguments: argparse.Namespace, length_controlled: bool) -> bool:
    """Whether more prompts could decide anything at this look."""
    from dpo_boundary.race import decide_look

    look = decide_look(
        table,
        shares=arguments.shares,
        starting_arms=arguments.starting_arms,
        confidence=arguments.confidence,
        seed=arguments.seed,
        length_controlled=length_controlled,
    )
    return bool(look.open_pairs)


def mean_length(row: dict) -> float:
    """Of a prompt's responses, in characters that are shown."""
    return sum(map(len, row["responses"])) / 2


def truncated(row: dict) -> int:
    """How many of them were cut at the limit of their length."""
    return bool(row["truncated_1"]) + bool(row["truncated_2"])


if __name__ == "__main__":
    run(main, errors.BadInput)
