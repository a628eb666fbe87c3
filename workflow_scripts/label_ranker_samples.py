"""Label pairs of the demo's policies' own samples with the noisy labels that its ranker learns from.

A ranker that has met the world's responders alone does not see what policies do wrong, so it learns from their samples,
too: on prompts that are used for nothing else, labelled as the responders' pairs are. One prompt in five is held out, the
same of every file. Pairs of equal quality are learnt from, labelled by a coin, and held out of what is held out.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from random import Random

from dpo_stages.core.arguments import seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import write_text
from dpo_stages.core.parquet import read_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import SAMPLED_CANDIDATES
from dpo_stages.demo.differences import kind_of_difference
from dpo_stages.demo.faults import draw_label
from dpo_stages.demo.quality import LABEL_TEMPERATURE, assess
from dpo_stages.demo.world import read_facts

HELD_OUT = 0.2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--candidates", type=Path, nargs="+", required=True, metavar="PARQUET", help="of sample_candidates.py")
    add("--facts", type=Path, required=True, metavar="JSON", help="facts.json of make_demo_world.py")
    add("--seed", type=seed, required=True, help="of the labels, and of which prompts are held out")
    add("--train", type=Path, required=True, metavar="JSONL", help="pairs to train the ranker on")
    add("--heldout", type=Path, required=True, metavar="JSONL", help="pairs to test it on")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    facts = read_facts(arguments.facts)
    lines, kinds, rows_in = {True: [], False: []}, Counter(), 0
    for file in arguments.candidates:
        for row in read_table(file, SAMPLED_CANDIDATES).to_pylist():
            rows_in += 1
            instruction, pair = row["prompt"][-1]["content"], (row["response_1"], row["response_2"])
            try:
                first, second = (assess(facts, instruction, response) for response in pair)
            except ValueError as error:
                raise BadInput(f"{file}: {error}; sample on ranker_prompts.jsonl of make_demo_world.py") from error
            held_out = Random(f"{arguments.seed}/{row['prompt_id']}").random() < HELD_OUT
            equal = first.quality == second.quality
            if equal and held_out:
                continue
            random = Random(f"{arguments.seed}/{file.parent.name}/{file.name}/{row['prompt_id']}")
            preferred = draw_label(facts, instruction, pair, LABEL_TEMPERATURE, random)
            labelled = {"prompt": instruction, "response_1": pair[0], "response_2": pair[1], "preferred": preferred}
            lines[held_out].append(json.dumps(labelled, ensure_ascii=False))
            kinds["equally good" if equal else kind_of_difference(first, second)] += 1
    if not all(lines.values()):
        raise BadInput("too few pairs of different quality to train and to test on; raise demo_world.ranker_prompts")
    for held_out, file in ((False, arguments.train), (True, arguments.heldout)):
        write_text(file, "".join(f"{line}\n" for line in lines[held_out]))
    kept = sum(map(len, lines.values()))
    counts = {"held_out": len(lines[True]), "kinds": dict(sorted(kinds.items()))}
    finish(arguments.train, rows_in, kept, {"held out, of equal quality": rows_in - kept}, **counts)


if __name__ == "__main__":
    run(main)
