"""Measure the boundary score of a policy while its candidates are being sampled, and stop as soon as it is decided.

Prompts are taken in a seeded order in growing blocks of 32, 8, 10, 13, ... Each block is sampled by sample_candidates.py
and compared by compare_candidates.py, which are started once and keep their models loaded. After each block an
anytime-valid confidence sequence says whether the score lies on one side of 0.5; then, or when all prompts are used up,
the measurement ends.

The blocks stay in the folder --blocks, under a key of all that decides what is in them. Another measurement with the same
key, of a higher confidence or with more prompts, takes what is there and starts the programs only for what is not.
"""

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from dpo_boundary import errors
from dpo_stages.core.arguments import confidence, seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import require_file, sha256
from dpo_stages.core.program import finish, run
from dpo_stages.data.shards import Shard
from dpo_stages.data.shared_prompts import add_shared_prompts_flags, check_shared_prompts
from dpo_stages.preferences.options import add_options_flags, options_from
from dpo_stages.report.baselines import add_held_out_flag
from dpo_stages.sampling.decoding import add_decoding_flags, decoding_from
from dpo_stages.study.program_inputs import Programs

ROOT = Path(__file__).resolve().parents[1]
GPU_MEMORY_UTILIZATION = 0.8  # the preference model is on the same GPU


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--policy-manifest", type=Path, required=True, metavar="MANIFEST", help="the policy that is measured")
    add("--off-policy", type=Path, required=True, metavar="PARQUET", help="other candidates; their prompts are sampled")
    add("--preference-model-manifest", type=Path, required=True, metavar="MANIFEST", help="what compares")
    add("--sampler-env", required=True, metavar="ENV", help="environment of sample_candidates.py")
    add("--comparer-env", required=True, metavar="ENV", help="environment of compare_candidates.py")
    add("--name", required=True, metavar="POLICY", help="the policy's, without a seed, for the samples' random numbers")
    add_decoding_flags(parser)
    add_options_flags(parser)
    add("--blocks", type=Path, required=True, metavar="FOLDER", help="where blocks are kept")
    add("--seed", type=seed, required=True, help="of the samples and of the prompts' order")
    add("--confidence", type=confidence, required=True, help="level of the confidence sequence")
    add("--policy", required=True, help="name of the policy, for the result")
    add("--preference-model", metavar="NAME", help="name of what compares, for the result")
    add("--preference-data", metavar="NAME", help="name of the off-policy candidates' data set, for the result")
    add("--output", type=Path, required=True, metavar="OUT.json", help="the measurement; OUT.md says it in words")
    add("--notes", nargs="+", default=[], metavar="SENTENCES", help="what OUT.md says besides, a paragraph each")
    add_held_out_flag(parser)
    add_shared_prompts_flags(parser)
    arguments = parser.parse_args()
    if arguments.output.suffix != ".json":
        raise BadInput(f"--output {arguments.output} is no name of a JSON file; end it in .json")
    return arguments


def commands(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """What samples and what compares, as words."""

    def program(env: str, name: str, *flags: object) -> list[str]:
        return [str(ROOT / "envs/run"), env, str(ROOT / f"workflow_scripts/{name}.py"), "--serve", *map(str, flags)]

    sampler = program(
        arguments.sampler_env, "sample_candidates", "--policy", arguments.policy_manifest,
        *decoding_from(arguments).as_flags(), "--seed", arguments.seed, "--name", arguments.name,
        "--gpu-memory-utilization", GPU_MEMORY_UTILIZATION,
    )  # fmt: skip
    comparer = program(
        arguments.comparer_env, "compare_candidates", "--off-policy", arguments.off_policy,
        "--preference-model", arguments.preference_model_manifest, *options_from(arguments).as_flags(),
    )  # fmt: skip
    return sampler, comparer


def what_decides(arguments: argparse.Namespace) -> list[object]:
    """All that decides samples and votes besides the files: settings and programs, but no path and no share of memory."""
    options = {name: value for name, value in asdict(options_from(arguments)).items() if name != "cache"}
    programs = Programs(ROOT)
    files = {
        file
        for name, env in (("sample_candidates", arguments.sampler_env), ("compare_candidates", arguments.comparer_env))
        for file in programs.inputs(name, env)
    }
    drawn = [asdict(decoding_from(arguments)), arguments.seed, arguments.name]
    return [*drawn, options, {f: sha256(ROOT / f) for f in sorted(files)}]


def key_of(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def main() -> None:
    arguments = parse_arguments()
    import pyarrow as pa

    from dpo_boundary.comparisons import Comparisons
    from dpo_boundary.measurement import measure_in_blocks
    from dpo_boundary.reading import read_comparisons
    from dpo_stages.core.files import write_json, write_text
    from dpo_stages.core.parquet import read_table, write_table
    from dpo_stages.core.workers import Worker
    from dpo_stages.data.schemas import PROMPTS
    from dpo_stages.report.baselines import read_held_out, with_held_out

    held_out = [read_held_out(path) for path in arguments.held_out]
    prompts = read_table(arguments.off_policy, PROMPTS)
    shared = check_shared_prompts(
        prompts, arguments.off_policy, Shard(1, 1), arguments.trained_on, arguments.shared_prompts
    )
    positions = {prompt_id: row for row, prompt_id in enumerate(prompts["prompt_id"].to_pylist())}
    files = (arguments.policy_manifest, arguments.off_policy, arguments.preference_model_manifest)
    for file in files:
        require_file(file)
    folder = arguments.blocks / key_of(what_decides(arguments), [sha256(file) for file in files])
    reused = made = 0
    sampling, comparing = commands(arguments)
    with Worker(sampling) as sampler, Worker(comparing) as comparer:

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
    result, said = with_held_out(measured.as_json(), held_out)
    paragraphs = [measured.paragraph(), *(f"{note}\n" for note in (*said, *arguments.notes))]
    write_text(arguments.output.with_suffix(".md"), "\n".join(paragraphs))
    write_json(arguments.output, result)
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
    run(main, errors.BadInput)
