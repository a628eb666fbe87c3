"""How much memory do the logits of a batch take, and what is left of it where log-probabilities are computed in tiles?

    OMP_NUM_THREADS=1 envs/run train benchmarks/logits.py

Two of the workflow's computations with small models of random weights, whose vocabularies are those of Llama 2 and of Qwen2.5, each
beside the same with all logits at once, in processes of their own: the log-probabilities of 16 sequences of 512 tokens, half of
what a batch may have, and a forward and backward pass of DPO over 4 pairs of such sequences. Peak memory is the largest
resident set of the process less that before, with the model loaded. On CPU cores, in float32. Prints Markdown.
"""

import argparse
import math
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

VOCABULARIES = (32_000, 151_936)
WIDTH, LAYERS, LENGTH = 256, 2, 512
SEQUENCES, PAIRS = 16, 4


def model_of(vocabulary: int):
    """A Llama of random weights, the same in every process."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4,
        max_position_embeddings=2 * LENGTH,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def score_whole(model, ids) -> float:
    from dpo_stages.training import logps

    logps.LOGITS = math.inf
    return score_ours(model, ids)


def score_ours(model, ids) -> float:
    import pyarrow as pa

    from dpo_stages.training.logps import response_logps

    prompts, responses = ids[:, : LENGTH // 4].tolist(), ids[:, LENGTH // 4 :].tolist()
    pairs = {"prompt_ids": prompts[::2], "chosen_ids": responses[::2], "rejected_ids": responses[1::2]}
    rows = pa.table({"prompt_id": [str(row) for row in range(len(prompts) // 2)], **pairs})
    logps = response_logps(model.eval(), rows, 0, "float32")
    return sum(logps["chosen"]) + sum(logps["rejected"])


def train_whole(model, ids) -> float:
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return dpo(logits.log_softmax(dim=-1).gather(2, ids[:, 1:, None])[..., 0])


def train_ours(model, ids) -> float:
    from trl.trainer import add_fused_lm_head

    add_fused_lm_head(model)  # as TRL's DPOTrainer has it, which ours inherits from
    return dpo(model(input_ids=ids, labels=ids, use_cache=False, fused_lm_head=True).log_probs)


def dpo(logps) -> float:
    """The loss of DPO against a reference of zeros, after its backward pass."""
    import torch

    chosen, rejected = logps[:, LENGTH // 4 - 1 :].sum(dim=1).chunk(2)
    loss = -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()
    loss.backward()
    return float(loss.detach())


CASES = {
    "log-probabilities of 16 sequences": (SEQUENCES, score_whole, score_ours),
    "a pass of DPO over 4 pairs": (2 * PAIRS, train_whole, train_ours),
}


def measure(case: str, way: int, vocabulary: int) -> None:
    """Print bytes, CPU seconds and result of one computation, in this process."""
    import torch

    model = model_of(vocabulary)
    rows, *ways = CASES[case]
    ids = torch.randint(vocabulary, (rows, LENGTH), generator=torch.Generator().manual_seed(1))
    ids[1::2, : LENGTH // 4] = ids[::2, : LENGTH // 4]  # the prompts
    ways[way](model, ids[:2])  # what is imported and allocated once
    model.zero_grad()
    before = resource.getrusage(resource.RUSAGE_SELF)
    value = ways[way](model, ids)
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(1024 * (after.ru_maxrss - before.ru_maxrss), after.ru_utime - before.ru_utime, value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=3, metavar=("CASE", "WAY", "WORDS"), help="measure one alone, in this process")
    arguments = parser.parse_args()
    if arguments.one:
        case, way, vocabulary = arguments.one
        return measure(case, int(way), int(vocabulary))
    print(
        "| | vocabulary | all logits, GiB | ours, GiB | CPU s | ours | result | ours |\n|---|---|---|---|---|---|---|---|"
    )
    for case in CASES:
        for vocabulary in VOCABULARIES:
            found = []
            for way in (0, 1):
                words = [sys.executable, __file__, "--one", case, str(way), str(vocabulary)]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                found.append([float(word) for word in done.stdout.split()[-3:]])
            (memory, seconds, value), (less, ours, same) = found
            print(
                f"| {case} | {vocabulary:,} | {memory / 2**30:.2f} | {less / 2**30:.2f} | {seconds:.1f} | {ours:.1f} | {value:.6g} | {same:.6g} |",
                flush=True,
            )
    return None


if __name__ == "__main__":
    main()
