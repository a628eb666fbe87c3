"""Sample one response of a policy to every instruction of an evaluation set, for the judge.

The chat template, the decoder and the end of a response are those of sample_candidates.py. The output is a list in
AlpacaEval's form: instruction, output, generator, dataset, with the instruction's index in the published set. Every
instruction must get a response: one that leaves no room for it within --max-length stops the program.

Runs in the environment vllm on all visible NVIDIA GPUs, or in vllm-cpu on OMP_NUM_THREADS cores.
"""

import argparse
from pathlib import Path

from dpo_stages.chat_tokens import tokenize_prompts
from dpo_stages.files import read_manifest, write_json
from dpo_stages.program import BadInput, finish, run
from dpo_stages.prompts import request_seed
from dpo_stages.sampling import (
    Request,
    Sampler,
    add_sampling_flags,
    check_sampling_flags,
    end_process,
    figures,
    read_prompts,
)
from dpo_stages.shards import add_shard_flag, parse_shard
from dpo_stages.shared_prompts import add_shared_prompts_flags, check_shared_prompts


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=Path, required=True, metavar="PARQUET", help="the evaluation set")
    parser.add_argument("--generator", required=True, metavar="NAME", help="what the judge's tables call the policy")
    add_sampling_flags(parser)
    add_shared_prompts_flags(parser)
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="JSON")
    arguments = parser.parse_args()
    check_sampling_flags(arguments)
    return arguments


def main() -> None:
    arguments = parse_arguments()
    shard = parse_shard(arguments.shard)
    read_manifest(arguments.policy)
    from dpo_stages.schemas import INSTRUCTIONS

    instructions = read_prompts(arguments.instructions, INSTRUCTIONS)
    shared = check_shared_prompts(instructions, arguments.instructions, arguments, shard)
    instructions = shard(instructions)
    sampler = Sampler(arguments.policy.parent, arguments)
    rows = instructions.to_pylist()
    requests = []
    for row, ids in zip(rows, tokenize_prompts(sampler.tokenizer, instructions), strict=True):
        if not sampler.room(ids):
            raise BadInput(
                f"{arguments.instructions}: the instruction {row['index']} takes {len(ids)} of the {sampler.context} "
                "tokens that the policy and --max-length allow: no response fits; raise --max-length or drop the row"
            )
        requests.append(Request(ids, request_seed(arguments.seed, row["prompt_id"], 1), sampler.room(ids)))
    responses = sampler.sample(requests)
    outputs = [
        {
            "index": row["index"],
            "prompt_id": row["prompt_id"],
            "dataset": row["subset"],
            "instruction": row["instruction"],
            "output": response.text,
            "generator": arguments.generator,
            "tokens": response.tokens,
            "truncated": response.truncated,
        }
        for row, response in zip(rows, responses, strict=True)
    ]
    write_json(arguments.output, outputs)
    finish(arguments.output, len(rows), len(outputs), {}, **figures(responses), **shared, context=sampler.context)


if __name__ == "__main__":
    run(main)
    end_process()
