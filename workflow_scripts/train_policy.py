"""Train a policy on preference pairs for one iteration: DPO, SLiC-HF and the other losses of TRL's DPOTrainer.

The reference model is the initial policy; its log-probabilities are given, so that it is never in memory. Losses:

    sigmoid        DPO, equation 6: -log sigmoid(beta * D) with D the difference of the two log-ratios
    hinge          SLiC-HF on log-ratios: max(0, 1 - beta * D)
    slic-original  SLiC-HF as first published, without a reference model: max(0, delta - log pi(y_w|x) + log pi(y_l|x))
                   - sft_weight * log pi(y_w|x); needs --delta and --sft-weight, and beta scales only the logged rewards
    ipo, …         TRL's, by its names; robust and exo_pair need --label-smoothing

With --sft-weight the others have a supervised term as well, TRL's mean of -log pi over tokens of chosen responses; with
--use-weighting pairs weigh as much as the policy is likely to say them (WPO). docs/training.md says which go together.

With all four of --lora-rank, --lora-alpha, --lora-dropout and --lora-targets small matrices are trained beside frozen weights, and
added to them in the end.

The first step's loss must be what the loss gives for a policy that equals its reference (ln 2 for DPO), or the run
stops: log-probabilities of another model or of other tokens would go unnoticed otherwise.

Beside the checkpoint lies training_log.jsonl, one row a step: loss, learning rate, mean log-probabilities of chosen and
rejected responses and their difference (equation 12), rewards and how often the chosen one is higher. Runs on one
device as it is, on several under `accelerate launch`; a killed run, started again, goes on from its last checkpoint.

With --until the policy is written as it is after that share of an epoch, and the checkpoint stays: the same training with a later
share, or without one, goes on from there and ends as it would have without a pause.

The ledger tells what saving has kept: the share of weights that equal the initial policy's, and where the float32 weights were
rounded to bfloat16 the margin between chosen and rejected responses before and after, in nats (log-ratios, without beta). Less
than half of it kept is a warning.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from dpo_stages.core.arguments import positive_float
from dpo_stages.core.errors import BadInput
from dpo_stages.core.libraries import importing_libraries, quiet_libraries, without_hub
from dpo_stages.core.parquet import read_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import PREFERENCES, REFERENCE_LOGPS
from dpo_stages.models.merging import read_policy
from dpo_stages.study.objectives import ORIGINAL_SLIC, SORTED
from dpo_stages.training.losses import LOSSES, Objective
from dpo_stages.training.margins import MarginSample
from dpo_stages.training.run import describe, end_process, save_policy, starting_point, train, training_log
from dpo_stages.training.settings import add_training_flags, trainer_arguments, training_settings_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--initial", type=Path, required=True, metavar="MANIFEST", help="policy to start from")
    parser.add_argument("--preferences", type=Path, required=True, metavar="PARQUET", help="pairs of responses")
    parser.add_argument(
        "--reference-logps",
        type=Path,
        required=True,
        metavar="PARQUET",
        help="of compute_reference_logps.py, for the same policy, pairs, --max-length and --dtype",
    )
    parser.add_argument("--loss", choices=LOSSES, required=True, metavar="NAME", help=", ".join(LOSSES))
    parser.add_argument("--beta", type=positive_float, required=True, help="strength of the tie to the reference model")
    parser.add_argument("--delta", type=positive_float, help=f"margin of {ORIGINAL_SLIC}, in nats")
    parser.add_argument("--sft-weight", type=float, help="weight of a supervised term on the chosen responses")
    parser.add_argument("--label-smoothing", type=float, help="probability that a label is wrong, below 0.5")
    parser.add_argument(
        "--use-weighting", action="store_true", help="weigh pairs by how likely the policy is to say them"
    )
    parser.add_argument(
        "--prefix-sharing", action="store_true", help="compute the prompt of a pair once for both responses"
    )
    parser.add_argument(
        "--until",
        type=positive_float,
        metavar="SHARE",
        help="pause after this share of an epoch, and keep the checkpoint",
    )
    add_training_flags(parser)
    return parser.parse_args()


def join_reference(tokens, reference, path: Path):
    """Add the columns of reference log-probabilities to tokenised pairs, matched by `prompt_id`.

    Raises:
        BadInput: a pair has none.
    """
    positions = {identifier: row for row, identifier in enumerate(reference["prompt_id"].to_pylist())}
    wanted = tokens["prompt_id"].to_pylist()
    missing = [identifier for identifier in wanted if identifier not in positions]
    if missing:
        raise BadInput(
            f"{path} has no log-probabilities for {len(missing)} of {len(wanted)} pairs, the first of them "
            f"{missing[0]}; compute them again from the same preferences with the same --max-length"
        )
    rows = reference.take([positions[identifier] for identifier in wanted])
    for name in ("ref_chosen_logps", "ref_rejected_logps"):
        tokens = tokens.append_column(name, rows[name])
    return tokens


def main() -> None:
    arguments = parse_arguments()
    objective = Objective(**{field.name: getattr(arguments, field.name) for field in fields(Objective)})
    settings = training_settings_from(arguments, trained_by="preferences")
    inputs = {
        "initial": arguments.initial,
        "preferences": arguments.preferences,
        "reference_logps": arguments.reference_logps,
    }
    initial = read_policy(arguments.initial)
    preferences = read_table(arguments.preferences, PREFERENCES)
    reference = read_table(arguments.reference_logps, REFERENCE_LOGPS)
    method = objective.arguments() | ({"prefix_sharing": True} if arguments.prefix_sharing else {})
    about = {**describe(settings, inputs, **method), "initial_policy": initial.get("policy")}
    without_hub()
    with importing_libraries():
        from datasets import Dataset
        from trl import DPOConfig

        from dpo_stages.models.chat_tokens import load_tokenizer
        from dpo_stages.models.preference_tokens import tokenize_preferences
        from dpo_stages.training.prefix_sharing import shares_prefix
        from dpo_stages.training.step_order import row_lengths
        from dpo_stages.training.trainers import PreferenceTrainer
    quiet_libraries()
    config = DPOConfig(**trainer_arguments(settings), **objective.trl_arguments(), precompute_ref_log_probs=True)
    tokenizer = load_tokenizer(arguments.initial.parent)
    tokens = tokenize_preferences(tokenizer, preferences, settings.max_length)
    pairs = join_reference(tokens.table, reference, arguments.reference_logps)
    if not pairs.num_rows:
        raise BadInput(f"{arguments.preferences} has no pair that fits into --max-length {settings.max_length} tokens")
    start = starting_point(arguments.initial.parent, settings, dropout=False)
    shared = shares_prefix(arguments.prefix_sharing, start["model"].config, settings.max_length)
    trainer = PreferenceTrainer(
        **start,
        args=config,
        lengths=None if objective.loss in SORTED else row_lengths(pairs, "prompt_ids", "chosen_ids", "rejected_ids"),
        prefix_sharing=shared,
        train_dataset=Dataset(pairs, fingerprint="pairs"),
        processing_class=tokenizer,
        checkpoint_minutes=settings.checkpoint_minutes,
        until=arguments.until,
        objective=objective,
    )
    train(trainer, settings.checkpoints, about)
    if arguments.until is not None:
        about |= {"until": arguments.until, "steps": trainer.state.global_step}
    sample = MarginSample.of(tokens.table, tokenizer.pad_token_id, settings.max_length, shared)
    kept = save_policy(trainer, settings, arguments.initial, about, sample)
    if trainer.is_world_process_zero():
        log = training_log(trainer)
        finish(
            settings.output,
            preferences.num_rows,
            pairs.num_rows,
            tokens.dropped,
            **tokens.counts(),
            steps=len(log),
            first_loss=log[0]["loss"],
            last_loss=log[-1]["loss"],
            last_accuracy=log[-1]["accuracy"],
            prefix_sharing=shared,
            **kept,
        )


if __name__ == "__main__":
    run(main)
    end_process()
