"""Bring a data set into the workflow's form: prompts with off-policy candidates, conversations, or instructions.

Adapters and what they read:

    local                    a file here: JSON Lines, JSON, CSV, TSV (each perhaps gzipped), Parquet, or a folder of save_to_disk
                             preferences   prompt, chosen, rejected; or prompt, responses: [{"text", "score"}, ...]; and the
                                           forms of docs/data.md, which are recognised by their columns
                             chat          messages; or prompt, response
                             instructions  instruction, output, and perhaps subset
    auto                     the same, of a data set of the hub
    ultrafeedback_binarized  preferences of HuggingFaceH4/ultrafeedback_binarized
    ultrachat_200k           conversations of HuggingFaceH4/ultrachat_200k
    alpaca_eval              AlpacaEval 2's 805 instructions with GPT-4 Turbo's outputs, of tatsu-lab/alpaca_eval

A prompt is a text or a list of turns {"role", "content"}; so are chosen and rejected. Of several responses the best is chosen and
a random other one rejected, or all are kept (--responses all). Empty prompts and responses, identical responses and duplicate
prompts (--duplicates says which record stays) are dropped and counted; dpo_stages/data/adapters.py has the rules. To see what is
understood of a file, and write nothing:

    envs/run train workflow_scripts/prepare_dataset.py --show 3 --source my-pairs.jsonl
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.arguments import positive_int, seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.hub import add_hub_flags, dataset_commit, same_commit
from dpo_stages.core.parquet import write_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.adapters import (
    ALL,
    KINDS,
    OF_ANY_FORM,
    TWO,
    Adapted,
    adapter_names,
    check_adapter,
    keep_subset,
    rows_of,
    understand,
)
from dpo_stages.data.forms.preferences import PLAIN
from dpo_stages.data.local_files import read_local
from dpo_stages.data.shown import counted, shown

if TYPE_CHECKING:
    import pyarrow as pa

LOCAL, ALPACA_EVAL = "local", "alpaca_eval"
WHEN_SHOWN = {"kind": "preferences", "adapter": LOCAL, "split": "train", "seed": 0}
"""What --show takes where it is not given."""
ALPACA_EVAL_SPLIT, ALPACA_EVAL_FILE = "eval", "alpaca_eval_gpt4_baseline.json"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--show", type=positive_int, metavar="N", help="print what is understood of the first N records; write nothing")
    add("--kind", choices=KINDS, help="what a row of the output is (with --show: preferences)")
    add("--adapter", choices=adapter_names(), help="how records are read, see above (with --show: local)")
    add("--source", required=True, metavar="FILE_OR_ID", help="local file; else hub id, or folder of a copy")
    add_hub_flags(parser)
    add("--split", help="the split's name at the source; says nothing of a local file (with --show: train)")
    add(
        "--columns",
        type=renamed,
        nargs="+",
        default=[],
        metavar="NAME=COLUMN",
        help="what columns are called in the data, by the names above, as prompt=question",
    )
    add("--responses", choices=[TWO, ALL], default=TWO, help="of a prompt that are kept (default: %(default)s)")
    add("--limit", default="none", metavar="N", help="keep N rows, a seeded subset (default: none, keep all)")
    add(
        "--duplicates",
        choices=["first", "last"],
        default="first",
        help="which usable record of a prompt stays (default: %(default)s)",
    )
    add("--seed", type=seed, help="seed of the subset and of rejected responses (with --show: 0)")
    add("--output", type=Path, metavar="PARQUET")
    arguments = parser.parse_args()
    if arguments.show:
        given = {name: value for name, value in vars(arguments).items() if value is not None}
        arguments = argparse.Namespace(**{**vars(arguments), **WHEN_SHOWN, **given})
    elif missing := [f"--{name}" for name in (*WHEN_SHOWN, "output") if getattr(arguments, name) is None]:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    check_adapter(arguments.adapter, arguments.kind)
    if arguments.limit != "none" and not (arguments.limit.isdecimal() and int(arguments.limit) > 0):
        raise BadInput(f"--limit is {arguments.limit}; give a whole number above zero, or none")
    if arguments.columns and arguments.adapter not in OF_ANY_FORM:
        raise BadInput(
            f"--columns is for the adapters {' and '.join(OF_ANY_FORM)}; {arguments.adapter} knows its columns"
        )
    if arguments.responses == ALL and arguments.kind != "preferences":
        raise BadInput(f"--responses all is for preferences, not for {arguments.kind}")
    return arguments


def renamed(text: str) -> tuple[str, str]:
    """Argument type: our name of a column and the data set's, as `prompt=question`."""
    name, equals, column = text.partition("=")
    if not (name and equals and column):
        raise argparse.ArgumentTypeError(f"must be of the form NAME=COLUMN, got {text}")
    return name, column


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


def schema_of(kind: str, responses: str) -> "pa.Schema":
    """What the rows of the output are."""
    from dpo_stages.data import schemas

    preferences = schemas.OFF_POLICY_GROUPS if responses == ALL else schemas.OFF_POLICY_CANDIDATES
    return {"preferences": preferences, "chat": schemas.CHAT, "instructions": schemas.INSTRUCTIONS}[kind]


def more_counts(adapted: Adapted, commit: str | None) -> dict[str, object]:
    """What the ledger says besides: the form of the data where it is not the plain one, and columns that nothing read."""
    forms = [*adapted.forms]
    more: dict[str, object] = {}
    if forms and forms != [PLAIN]:
        more["form"] = adapted.forms if len(forms) > 1 else forms[0]
    if adapted.unused:
        more["unused_columns"] = adapted.unused
    return {**more, **({"revision": commit} if commit else {})}


def main() -> None:
    arguments = parse_arguments()
    if arguments.adapter == LOCAL:
        records, commit, origin = read_local(Path(arguments.source)), None, arguments.source
    else:
        records, commit = read_hub(arguments.adapter, arguments.source, arguments.revision, arguments.split)
        origin = f"{arguments.source} ({arguments.split})"
    understood = understand(records, arguments.adapter, arguments.kind, origin, dict(arguments.columns))
    if arguments.show:
        print(*shown(understood, arguments.show, arguments.seed), sep="\n")
    adapted = rows_of(understood, arguments.seed, origin, arguments.duplicates, arguments.responses)
    if arguments.show:
        print(*counted(adapted), sep="\n")
        return
    limit = None if arguments.limit == "none" else int(arguments.limit)
    adapted = keep_subset(adapted, limit, arguments.seed)
    with same_commit(arguments.pin, arguments.source, arguments.revision, commit):
        write_table(arguments.output, adapted.rows, schema_of(arguments.kind, arguments.responses))
    finish(
        arguments.output,
        adapted.records,
        len(adapted.rows),
        adapted.dropped,
        prompts=adapted.prompts,
        **more_counts(adapted, commit),
    )


if __name__ == "__main__":
    run(main)
