"""Train a base model on conversations: supervised fine-tuning, which makes the policy of iteration 0.

The loss is the mean negative log-likelihood of the assistant's tokens, the end of each turn included; what the user
says is read and not learnt. A policy is asked for responses alone, and these are the very tokens that preference
optimisation compares afterwards. With all three of --packing, --loss-on-prompts and --empty-system-turn it is the recipe of
the alignment handbook, to which the paper's Appendix C.1 refers; docs/paper.md has what still differs.

Beside the checkpoint lies training_log.jsonl, one row a step. Runs on one device as it is, and on several under
`accelerate launch`; a killed run, started again, goes on from its last checkpoint.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.libraries import importing_libraries, quiet_libraries, without_hub
from dpo_stages.core.manifests import read_manifest
from dpo_stages.core.parquet import read_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import CHAT
from dpo_stages.models.conversation_tokens import SWITCHES, count_tokens, pack, tokenize_conversations
from dpo_stages.training.run import describe, end_process, save_policy, starting_point, train, training_log
from dpo_stages.training.settings import add_training_flags, trainer_arguments, training_settings_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, metavar="MANIFEST", help="the base model")
    parser.add_argument("--dataset", type=Path, required=True, metavar="PARQUET", help="conversations")
    add_training_flags(parser)
    parser.add_argument(
        "--packing",
        action="store_true",
        help="cut conversations that stand one behind the other into rows of --max-length; without, each is a row",
    )
    parser.add_argument(
        "--loss-on-prompts", action="store_true", help="learn every token; without, the assistant's turns alone"
    )
    parser.add_argument(
        "--empty-system-turn",
        action="store_true",
        help="put one in front of conversations without a system turn; without, they are as they are",
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    settings = training_settings_from(arguments, trained_by="sft")
    read_manifest(arguments.base)
    conversations = read_table(arguments.dataset, CHAT)
    recipe = {name: True for name in SWITCHES if getattr(arguments, name)}
    about = describe(settings, {"base": arguments.base, "dataset": arguments.dataset}, **recipe)
    without_hub()
    with importing_libraries():
        from datasets import Dataset
        from trl import SFTConfig

        from dpo_stages.models.chat_tokens import load_tokenizer
        from dpo_stages.training.step_order import row_lengths
        from dpo_stages.training.trainers import SupervisedTrainer
    quiet_libraries()
    config = SFTConfig(**trainer_arguments(settings), dataset_kwargs={"skip_prepare_dataset": True})
    tokenizer = load_tokenizer(arguments.base.parent)
    tokens = tokenize_conversations(tokenizer, conversations, settings.max_length, **recipe)
    if not tokens.table.num_rows:
        raise BadInput(f"{arguments.dataset} has no conversation with an assistant's turn to learn")
    rows, packed = pack(tokens.table, settings.max_length, settings.seed) if arguments.packing else (tokens.table, {})
    trainer = SupervisedTrainer(
        **starting_point(arguments.base.parent, settings),
        args=config,
        train_dataset=Dataset(rows, fingerprint="conversations"),
        processing_class=tokenizer,
        checkpoint_minutes=settings.checkpoint_minutes,
        lengths=None if arguments.packing else row_lengths(rows, "input_ids"),
    )
    train(trainer, settings.checkpoints, about)
    kept = save_policy(trainer, settings, arguments.base, about)
    if trainer.is_world_process_zero():
        log = training_log(trainer)
        finish(
            settings.output,
            conversations.num_rows,
            tokens.table.num_rows,
            tokens.dropped,
            truncated=tokens.truncated,
            trimmed=tokens.trimmed,
            control_texts=tokens.control_texts,
            system_turns=tokens.system_turns,
            **packed,
            **count_tokens(rows),
            steps=len(log),
            first_loss=log[0]["loss"],
            last_loss=log[-1]["loss"],
            **kept,
        )


if __name__ == "__main__":
    run(main)
    end_process()
