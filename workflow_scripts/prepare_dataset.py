"""Bring a data set into the workflow's form: prompts with off-policy candidates, conversations, or instructions.

Adapters and what they read:

    local                    a .jsonl, .json (a list) or .parquet file, with these columns by --kind:
                             preferences   prompt, chosen, rejected; or prompt, responses: [{"text", "score"}, ...]
                             chat          messages; or prompt, response
                             instructions  instruction, output, and perhaps subset
    ultrafeedback_binarized  preferences of HuggingFaceH4/ultrafeedback_binarized
    ultrachat_200k           conversations of HuggingFaceH4/ultrachat_200k
    alpaca_eval              AlpacaEval 2's 805 instructions with GPT-4 Turbo's outputs, of tatsu-lab/alpaca_eval

A prompt is a text or a list of turns {"role", "content"}; so are chosen and rejected. Of several scored responses the
best is chosen and a random other one rejected. Empty prompts and responses, identical responses and duplicate prompts
(--duplicates says which record stays) are dropped and counted; dpo_stages/data/adapters.py has the rules.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from dpo_stages.core.arguments import seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.hub import add_hub_flags, dataset_commit, same_commit
from dpo_stages.core.parquet import write_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.adapters import KINDS, adapt, adapter_names, check_adapter, keep_subset
from dpo_stages.data.local_files import read_local

LOCAL, ALPACA_EVAL = "local", "alpaca_eval"
ALPACA_EVAL_SPLIT, ALPACA_EVAL_FILE = "eval", "alpaca_eval_gpt4_baseline.json"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", required=True, choices=KINDS, help="what a row of the output is")
    parser.add_argument("--adapter", required=True, choices=adapter_names(), help="how records are read, see above")
    parser.add_argument(
        "--source", required=True, metavar="FILE_OR_ID", help="local file; else hub id, or folder of a copy"
    )
    add_hub_flags(parser)
    parser.add_argument("--split", required=True, help="the split's name at the source; says nothing of a local file")
    parser.add_argument(
        "--limit", default="none", metavar="N", help="keep N rows, a seeded subset (default: none, keep all)"
    )
    parser.add_argument(
        "--duplicates",
        choices=["first", "last"],
        default="first",
        help="which usable record of a prompt stays (default: %(default)s)",
    )
    parser.add_argument("--seed", type=seed, required=True, help="seed of the subset and of rejected responses")
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET")
    arguments = parser.parse_args()
    check_adapter(arguments.adapter, arguments.kind)
    if arguments.limit != "none" and not (arguments.limit.isdecimal() and int(arguments.limit) > 0):
        raise BadInput(f"--limit is {arguments.limit}; give a whole number above zero, or none")
    return arguments


def read_hub(adapter: str, source: str, revision: str, split: str) -> tuple[Iterable[dict], str | None]:
    """Records of a data set of the hub and the commit they are of, or of a copy of its repository in a folder, and None.

    Raises:
        BadInput: there is no such data set, revision or split, or the hub is out of reach.
    """
    if adapter == ALPACA_EVAL:
        return read_alpaca_eval(source, revision, split)
    import datasets

    datasets.disable_progress_bars()
    commit = dataset_commit(source, revision)
    try:
        return datasets.load_dataset(source, revision=commit or revision, split=split), commit
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise BadInput(_not_loaded(source, revision, split, error)) from error


def read_alpaca_eval(source: str, revision: str, split: str) -> tuple[list[dict], str | None]:
    """The file of AlpacaEval 2's baseline; the repository's loading script is one that `datasets` no longer runs."""
    if split != ALPACA_EVAL_SPLIT:
        raise BadInput(f"--split is {split}; AlpacaEval has only {ALPACA_EVAL_SPLIT}")
    if Path(source).is_dir():
        return read_local(Path(source) / ALPACA_EVAL_FILE), None
    from huggingface_hub import hf_hub_download

    try:
        file = Path(hf_hub_download(source, ALPACA_EVAL_FILE, repo_type="dataset", revision=revision))
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(_not_loaded(source, revision, split, error)) from error
    return read_local(file), file.parent.name  # the hub's cache has a folder a commit


def _not_loaded(source: str, revision: str, split: str, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"cannot load the split {split} of {source} at revision {revision}: {reason}"


def main() -> None:
    arguments = parse_arguments()
    if arguments.adapter == LOCAL:
        records, commit, origin = read_local(Path(arguments.source)), None, arguments.source
    else:
        records, commit = read_hub(arguments.adapter, arguments.source, arguments.revision, arguments.split)
        origin = f"{arguments.source} ({arguments.split})"
    adapted = adapt(records, arguments.adapter, arguments.kind, arguments.seed, origin, arguments.duplicates)
    limit = None if arguments.limit == "none" else int(arguments.limit)
    adapted = keep_subset(adapted, limit, arguments.seed)

    from dpo_stages.data import schemas

    schema = {
        "preferences": schemas.OFF_POLICY_CANDIDATES,
        "chat": schemas.CHAT,
        "instructions": schemas.INSTRUCTIONS,
    }[arguments.kind]
    with same_commit(arguments.pin, arguments.source, arguments.revision, commit):
        write_table(arguments.output, adapted.rows, schema)
    more = {"unused_columns": adapted.unused} if adapted.unused else {}
    more |= {"revision": commit} if commit else {}
    finish(arguments.output, adapted.records, len(adapted.rows), adapted.dropped, prompts=adapted.prompts, **more)


if __name__ == "__main__":
    run(main)
