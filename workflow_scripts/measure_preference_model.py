"""Measure how often a preference model is right on held-out votes, beside two trivial judges on the same pairs.

Input is JSON Lines: {"prompt": text, "response_1": text, "response_2": text, "preferred": 1, 2, or 0 for a tie}, of prompts that the
preference model has not seen. Whoever takes the longer response, in characters, and whoever takes the first one are held against the
same votes. Votes that tie are left out and counted; a tie of the preference model, like two responses of one length, counts half.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import confidence
from dpo_stages.core.program import finish, run
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--votes", nargs="+", type=Path, required=True, metavar="JSONL", help="pairs with a vote")
    add_preference_model_flags(parser)
    add("--name", required=True, help="of the preference model, for the result")
    add("--confidence", type=confidence, required=True, help="level of the intervals")
    add("--output", type=Path, required=True, metavar="JSON")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.audit.baselines import Judged, found_beside
    from dpo_stages.core.files import write_json
    from dpo_stages.data.thoughts import count_thoughts, shown
    from dpo_stages.data.votes import TIE, VOTES, only_ties
    from dpo_stages.preferences.pairs import Pair, ask, vote
    from dpo_stages.preferences.votes import read_labelled_pairs

    options = options_from(arguments)
    files = {str(file): read_labelled_pairs(file, VOTES) for file in arguments.votes}
    voted = [(file, one) for file, pairs in files.items() for one in pairs if one.preferred != TIE]
    if not voted:
        raise only_ties(", ".join(files))
    texts = [[one.pair.response_1, one.pair.response_2] for _, one in voted]
    pairs = [
        Pair(one.pair.prompt, *(shown(text, options.thoughts) for text in both))
        for (_, one), both in zip(voted, texts, strict=True)
    ]
    verdicts, counts = ask(open_preference_model(arguments.preference_model, options), pairs)
    judged: dict[str, list[Judged]] = {}
    for (file, one), pair, logit in zip(voted, pairs, verdicts.logits.tolist(), strict=True):
        first = one.preferred == 1
        lengths = (len(pair.response_1), len(pair.response_2))
        right = vote(logit) if first else 1 - vote(logit)
        judged.setdefault(file, []).append(Judged(right, *(lengths if first else lengths[::-1]), better_first=first))
    found = {
        "preference_model": arguments.name,
        "confidence": arguments.confidence,
        "votes": list(files),
        **found_beside([one for of_file in judged.values() for one in of_file], arguments.confidence),
        "by_file": {file: found_beside(of_file, arguments.confidence) for file, of_file in judged.items()},
    }
    write_json(arguments.output, found)
    there = sum(map(len, files.values()))
    trivial = {name: found["baselines"][name]["estimate"] for name in ("longer", "first")}
    counts |= count_thoughts((text for both in texts for text in both), options.thoughts)
    finish(
        arguments.output,
        there,
        len(pairs),
        {"votes that tie": there - len(pairs)},
        preference_model=arguments.name,
        accuracy=found["accuracy"]["estimate"],
        **trivial,
        below_longer=found["baselines"]["below_longer"] or "no",
        **counts,
    )


if __name__ == "__main__":
    run(main)
