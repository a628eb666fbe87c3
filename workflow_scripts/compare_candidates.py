"""Compare a policy's own candidates with off-policy candidates of the same prompts: Algorithm 1's comparisons.

Each on-policy candidate of a prompt is compared with each off-policy one: two and two make four comparisons. Prompts that only one of the two
files has are counted and left out. Of a candidate that thinks before it answers the answer is shown alone, unless
--thoughts says otherwise; lengths are those of what is shown. measure_boundary.py turns the comparisons into the boundary score.
"""

import argparse
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.core.workers import add_serve_flag, check_serve_flag, serve
from dpo_stages.data.shards import add_shard_flag, parse_shard
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from

if TYPE_CHECKING:
    from dpo_stages.preferences.options import PreferenceModel


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on-policy", type=Path, metavar="FILE", help="the policy's samples (Parquet)")
    parser.add_argument("--off-policy", type=Path, required=True, metavar="FILE", help="other candidates (Parquet)")
    add_preference_model_flags(parser)
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="Parquet")
    add_serve_flag(parser, "on_policy", "output")
    arguments = parser.parse_args()
    check_serve_flag(parser, arguments, "on_policy", "output")
    return arguments


class Comparer:
    """Compares samples with the off-policy candidates; the preference model is opened when it is first needed."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from dpo_stages.data.candidates import read_groups

        self.arguments, self.options, self.shard = arguments, options_from(arguments), parse_shard(arguments.shard)
        self.off_policy = {group.prompt_id: group for group in read_groups(arguments.off_policy)}

    @cached_property
    def model(self) -> "PreferenceModel":
        """The preference model."""
        return open_preference_model(self.arguments.preference_model, self.options)


def compare(comparer: Comparer, samples: Path, output: Path) -> None:
    """Compare one file of samples."""
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.candidates import read_groups, truncated_responses
    from dpo_stages.data.schemas import COMPARISONS
    from dpo_stages.data.thoughts import count_thoughts, shown
    from dpo_stages.preferences.pairs import Pair, ask, vote

    off_policy, shard, thoughts = comparer.off_policy, comparer.shard, comparer.options.thoughts
    on_policy = read_groups(samples)
    sampled = {group.prompt_id for group in on_policy}
    if sampled.isdisjoint(off_policy) and (sampled or not comparer.arguments.serve):  # a block may have no samples
        raise BadInput(f"{samples} and {comparer.arguments.off_policy} share no prompt; give candidates of one split")

    only_off = len(shard([prompt for prompt in off_policy if prompt not in sampled]))
    on_policy = shard(on_policy)
    shared = [(group, off_policy[group.prompt_id]) for group in on_policy if group.prompt_id in off_policy]
    model = comparer.model
    keys = [
        (group.prompt_id, on, off, ours, theirs)
        for group, other in shared
        for on, ours in enumerate(group.candidates, start=1)
        for off, theirs in enumerate(other.candidates, start=1)
    ]
    prompts = {group.prompt_id: group.prompt for group, _ in shared}
    pairs = [
        Pair(prompts[prompt], shown(ours.whole, thoughts), shown(theirs.whole, thoughts))
        for prompt, _, _, ours, theirs in keys
    ]
    verdicts, counts = ask(model, pairs)
    rows = [
        {
            "prompt_id": prompt,
            "on_index": on,
            "off_index": off,
            "logit": logit,
            "on_policy_preferred": vote(logit),
            "order_flip": flip,
            "on_length": len(pair.response_1),
            "off_length": len(pair.response_2),
            "on_truncated": ours.truncated,
        }
        for (prompt, on, off, ours, _), pair, logit, flip in zip(
            keys, pairs, verdicts.logits.tolist(), verdicts.order_flips.tolist(), strict=True
        )
    ]
    write_table(output, rows, COMPARISONS)
    dropped = {"prompts without off-policy candidates": len(on_policy) - len(shared)}
    dropped["prompts without on-policy candidates"] = only_off
    ours = [candidate for group, _ in shared for candidate in group.candidates]
    theirs = [candidate for _, other in shared for candidate in other.candidates]
    counts |= truncated_responses(candidate.truncated for candidate in ours)
    counts |= count_thoughts((candidate.whole for candidate in (*ours, *theirs)), thoughts)
    finish(output, len(on_policy) + only_off, len(shared), dropped, preference_model=model.name, **counts)


def main() -> None:
    arguments = parse_arguments()
    comparer = Comparer(arguments)
    if arguments.serve:
        comparer.model  # noqa: B018  # loaded while the first samples are drawn
        serve(lambda on_policy, output: compare(comparer, Path(on_policy), Path(output)))
    else:
        compare(comparer, arguments.on_policy, arguments.output)


if __name__ == "__main__":
    run(main)
