"""Measure the boundary score of a policy while its candidates are being sampled, and stop as soon as it is decided.

Prompts are taken in a seeded order in growing blocks of 32, 8, 10, 13, ... Each block is sampled by one program and
compared by another, which are started once and keep their models loaded. After each block an anytime-valid confidence
sequence says whether the score lies on one side of 0.5; then, or when all prompts are used up, the measurement ends.

The blocks stay in the folder --blocks. Another measurement with the same --keyed-by and commands, of a higher confidence
or with more prompts, takes what is there and starts the programs only for what is not.
"""

import argparse
import hashlib
import json
import shlex
from pathlib import Path

from dpo_stages.argument_types import confidence, seed
from dpo_stages.program import BadInput, finish, run
from dpo_stages.shards import Shard
from dpo_stages.shared_prompts import add_shared_prompts_flags, check_shared_prompts


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--prompts",
        type=Path,
        required=True,
        metavar="PARQUET",
        help="off-policy candidates, whose prompts are sampled",
    )
    add("--sampler", required=True, metavar="COMMAND", help="sample_candidates.py --serve with its flags")
    add("--comparer", required=True, metavar="COMMAND", help="compare_candidates.py --serve with its flags")
    add("--keyed-by", nargs="+", type=Path, default=[], metavar="FILE", help="files that samples and votes depend on")
    add("--blocks", type=Path, required=True, metavar="FOLDER", help="where blocks are kept")
    add("--seed", type=seed, required=True, help="of the prompts' order")
    add("--confidence", type=confidence, required=True, help="level of the confidence sequence")
    add("--policy", required=True, help="name of the policy, for the result")
    add("--preference-model", metavar="NAME", help="name of what compares, for the result")
    add("--preference-data", metavar="NAME", help="name of the off-policy candidates' data set, for the result")
    add("--output", type=Path, required=True, metavar="OUT.json", help="the measurement; OUT.md says it in words")
    add_shared_prompts_flags(parser)
    arguments = parser.parse_args()
    if arguments.output.suffix != ".json":
        raise BadInput(f"--output {arguments.output} is no name of a JSON file; end it in .json")
    return arguments


def key_of(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def main() -> None:
    arguments = parse_arguments()
    import pyarrow as pa

    from dpo_stages.boundary import Comparisons, measure_in_blocks, read_comparisons
    from dpo_stages.files import read_table, sha256, write_json, write_table, write_text
    from dpo_stages.schemas import PROMPTS
    from dpo_stages.workers import Worker

    prompts = read_table(arguments.prompts, PROMPTS)
    shared = check_shared_prompts(prompts, arguments.prompts, arguments, Shard(1, 1))
    positions = {prompt_id: row for row, prompt_id in enumerate(prompts["prompt_id"].to_pylist())}
    for file in arguments.keyed_by:
        if not file.is_file():
            raise BadInput(f"{file} of --keyed-by does not exist")
    key = key_of(arguments.sampler, arguments.comparer, [sha256(file) for file in arguments.keyed_by])
    folder = arguments.blocks / key
    reused = made = 0
    with Worker(shlex.split(arguments.sampler)) as sampler, Worker(shlex.split(arguments.comparer)) as comparer:

        def compare(block: list[str]) -> Comparisons:
            nonlocal reused, made
            name = key_of(block)
            asked, sampled, compared = (
                folder / f"{name}.{kind}.parquet" for kind in ("prompts", "candidates", "comparisons")
            )
            if compared.is_file():
                reused += len(block)
                return read_comparisons(compared)
            made += len(block)
            sampler.start(), comparer.start()  # both load at the same time
            write_table(asked, prompts.take(pa.array([positions[prompt_id] for prompt_id in block])), PROMPTS)
            sampler.ask(prompts=str(asked), output=str(sampled))
            comparer.ask(on_policy=str(sampled), output=str(compared))
            return read_comparisons(compared)

        measured = measure_in_blocks(
            positions,
            compare,
            seed=arguments.seed,
            confidence=arguments.confidence,
            policy=arguments.policy,
            preference_model=arguments.preference_model,
            preference_data=arguments.preference_data,
        )
    write_text(arguments.output.with_suffix(".md"), measured.paragraph())
    write_json(arguments.output, measured.as_json())
    finish(
        arguments.output,
        rows_in=len(positions),
        rows_out=measured.prompts,
        dropped={"not needed for the decision, or without room for a response": len(positions) - measured.prompts},
        prompts_sampled=made,
        prompts_reused=reused,
        **shared,
        boundary_score=measured.boundary_score,
        stage=measured.stage,
        verdict=measured.verdict,
    )


if __name__ == "__main__":
    run(main)
