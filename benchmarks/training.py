"""What does padding cost, and what is saved by sorting a step's pairs and by computing a prompt once for both responses?

    OMP_NUM_THREADS=1 envs/run train benchmarks/training.py --shape 135M --steps 1 --float32
    envs/run train benchmarks/training.py --shape 1.5B          # on a GPU

DPO of a model of random weights, by TRL's DPOTrainer as it comes (micro-batches as they were drawn, two rows a pair), and by ours:
the same pairs in the same steps, side by side in one process. On a GPU a step before those is not counted: kernels are chosen and
compiled in it. Texts are random letters, a token each, of lengths as on the GPU check, or those of --lengths. Prints Markdown.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import torch
from gpu.inputs import REAL, SHAPES, make_model
from transformers import PrinterCallback, TrainerCallback

from dpo_stages.core.libraries import quiet_libraries


class Watch(TrainerCallback):
    """Seconds of every step, and tokens that the model was given in it, padding included."""

    def __init__(self, model) -> None:
        self.seconds, self.tokens, self.given = [], [], 0
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module, arguments, named) -> None:
        self.given += named["input_ids"].numel()

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        self.given, self.started = 0, self._now()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.seconds.append(self._now() - self.started)
        self.tokens.append(self.given)

    @staticmethod
    def _now() -> float:
        """Seconds of the wall on a GPU, of the processor without one, where other programs may run."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            return time.monotonic()
        return time.process_time()


def rows_of(lengths: list[tuple[int, int, int]], count: int) -> dict[str, list]:
    """Tokens of `count` pairs with those lengths of prompt, chosen and rejected response, template and end included."""
    draw, rows = torch.Generator().manual_seed(0), {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    for number in range(count):
        for name, length in zip(rows, lengths[number % len(lengths)], strict=True):
            rows[name].append(torch.randint(5, 261, (length + 2,), generator=draw).tolist())
    return rows | {name: [-100.0] * count for name in ("ref_chosen_logps", "ref_rejected_logps")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="1.5B")
    parser.add_argument(
        "--lengths", type=Path, metavar="JSON", help="lists of tokens of prompt, chosen and rejected response"
    )
    parser.add_argument("--pairs-a-step", type=int, default=128)
    parser.add_argument("--pairs-at-once", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2, help="that are counted")
    parser.add_argument("--float32", action="store_true", help="instead of mixed precision")
    arguments = parser.parse_args()
    quiet_libraries()
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from dpo_stages.models.chat_tokens import load_tokenizer
    from dpo_stages.models.weights import load_model
    from dpo_stages.training.losses import Objective
    from dpo_stages.training.trainers import PreferenceTrainer

    class AsItComes(DPOTrainer):
        """With tokens and reference log-probabilities given, which it would compute itself."""

        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

        _precompute_ref_logps = _prepare_dataset

    class Ours(PreferenceTrainer):
        def _check_first_step(self, loss, pairs) -> None:
            """The reference is made up."""

    lengths = (
        json.loads(arguments.lengths.read_text())
        if arguments.lengths
        else [list(map(len, row)) for row in REAL.rows(1000)]
    )
    cuda, objective = torch.cuda.is_available(), Objective("sigmoid", 0.1)
    before = int(cuda)  # steps that are not counted
    rows = rows_of(lengths, arguments.pairs_a_step * (before + arguments.steps))
    both = [
        len(one) + 2 * len(prompt) + len(other) for prompt, one, other in zip(*list(rows.values())[:3], strict=True)
    ]
    useful = sum(both) / (before + arguments.steps)  # of a step, on average
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        make_model(model, SHAPES[arguments.shape])
        config = {
            **objective.trl_arguments(), "output_dir": folder, "precompute_ref_log_probs": True, "report_to": "none", "disable_tqdm": True,
            "per_device_train_batch_size": arguments.pairs_at_once, "learning_rate": 1e-6, "num_train_epochs": 1, "logging_steps": 1,
            "gradient_accumulation_steps": arguments.pairs_a_step // arguments.pairs_at_once, "bf16": not arguments.float32,
            "use_cpu": not cuda, "activation_checkpointing": True, "save_strategy": "no", "seed": 0, "data_seed": 0, "max_length": 4096,
            "log_level": "error",
        }  # fmt: skip
        more = {"objective": objective, "checkpoint_minutes": 1e6}
        ways = {
            "TRL's DPOTrainer as it comes": (AsItComes, {}),
            **({"the same, without cuDNN's attention": (AsItComes, {})} if cuda else {}),
            "ours, like lengths together": (Ours, {**more, "lengths": both}),
            "the same, prompts shared": (Ours, {**more, "lengths": both, "prefix_sharing": True}),
        }
        name = torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} threads of a CPU"
        print(
            f"\n{name}, {arguments.shape}, steps of {arguments.pairs_a_step} pairs, {arguments.pairs_at_once} at once\n"
        )
        print(
            "| | tokens given for one of a text | seconds a step | x | useful tokens/s | memory, GiB | losses of the steps |"
        )
        print("|---|---|---|---|---|---|---|", flush=True)
        first = None
        for way, (kind, settings) in ways.items():
            data = Dataset.from_dict(rows)
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            trainer = kind(load_model(model, 4096), args=DPOConfig(**config), train_dataset=data, processing_class=load_tokenizer(model), **settings)  # fmt: skip
            torch.backends.cuda.enable_cudnn_sdp(way == next(iter(ways)))  # which PyTorch takes if nobody says no
            trainer.remove_callback(PrinterCallback)
            watch = Watch(trainer.model)
            trainer.add_callback(watch)
            trainer.train()
            seconds, tokens = (sum(values[before:]) / arguments.steps for values in (watch.seconds, watch.tokens))
            first = first or seconds
            peak = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if cuda else ""
            losses = ", ".join(f"{row['loss']:.5g}" for row in trainer.state.log_history if "loss" in row)
            print(
                f"| {way} | {tokens / useful:.2f} | {seconds:.1f} | {first / seconds:.2f} | {useful / seconds:,.0f} | {peak} | {losses} |",
                flush=True,
            )
            del trainer, watch
            if cuda:
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
