"""Sample one response of a policy to every instruction of an evaluation set, for the judge.

The chat template, the decoder and the end of a response are those of sample_candidates.py. The output is a list in
AlpacaEval's form: instruction, output, generator, dataset, with the instruction's index in the published set. Every
instruction must get a response: one that leaves no room for it within --max-length stops the program.

Runs in the environment vllm on all visible NVIDIA GPUs, or in vllm-cpu on OMP_NUM_THREADS cores.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import write_json
from dpo_stages.core.program import finish, run
from dpo_stages.data.prompts import request_seed
from dpo_stages.data.shards import add_shard_flag, parse_shard
from dpo_stages.data.shared_prompts import add_shared_prompts_flags, check_shared_prompts
from dpo_stages.data.thoughts import whole
from dpo_stages.models.chat_tokens import tokenize_prompts
from dpo_stages.models.control_texts import control_texts
from dpo_stages.models.merging import read_policy
from dpo_stages.sampling.decoding import add_sampler_flags, check_sampler_flags, decoding_from
from dpo_stages.sampling.engine import end_process
from dpo_stages.sampling.sampler import Request, Sampler, counts, read_prompts


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=Path, required=True, metavar="PARQUET", help="the evaluation set")
    parser.add_argument("--generator", required=True, metavar="NAME", help="what the judge's tables call the policy")
    add_sampler_flags(parser)
    add_shared_prompts_flags(parser)
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="JSON")
    arguments = parser.parse_args()
    check_sampler_flags(arguments)
    return arguments


def main() -> None:
    arguments = parse_arguments()
    shard = parse_shard(arguments.shard)
    read_policy(arguments.policy)
    from dpo_stages.data.schemas import INSTRUCTIONS

    instructions = read_prompts(arguments.instructions, INSTRUCTIONS)
    shared = check_shared_prompts(
        instructions, arguments.instructions, shard, arguments.trained_on, arguments.shared_prompts
    )
    instructions = shard(instructions)
    sampler = Sampler(arguments.policy.parent, decoding_from(arguments), arguments.gpu_memory_utilization)
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
            "output": whole(response.text, sampler.opens_thought(request.prompt)),
            "generator": arguments.generator,
            "tokens": len(response.ids),
            "truncated": response.truncated,
        }
        for row, request, response in zip(rows, requests, responses, strict=True)
    ]
    write_json(arguments.output, outputs)
    finish(
        arguments.output,
        len(rows),
        len(outputs),
        {},
        **counts(responses),
        **shared,
        control_texts=sum(
            control_texts(sampler.tokenizer).found_in({**row, **output})
            for row, output in zip(rows, outputs, strict=True)
        ),
        context=sampler.context,
    )


if __name__ == "__main__":
    run(main)
    end_process()
