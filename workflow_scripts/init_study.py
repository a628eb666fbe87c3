"""Look at a model, data and a preference model of your own, and write the short file that studies them.

    envs/run workflow workflow_scripts/init_study.py --model checkpoints/my-model --data my-pairs.jsonl \\
        --preference-model my-reward-model --output mine.yaml

Says what was understood, and how long the measurement and a trained policy take here. Where something would stop a run it says what
that is, shows the file, and writes none (exit code 2). --preset is
one-gpu where there is an NVIDIA GPU, else laptop; what it sets stands in presets/. A batch is chosen that gives an epoch some
steps, and lengths that the models read. Nothing is downloaded; what comes from the hub is looked at when it is there.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import run
from dpo_stages.study.presets import PRESETS, merged

WORKFLOW = Path(__file__).resolve().parent.parent


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", nargs="+", required=True, metavar="FOLDER_OR_ID", help="what is to be aligned")
    add(
        "--data",
        nargs="+",
        required=True,
        metavar="FILE",
        help="pairs: prompt, chosen, rejected; or another form of docs/data.md; one file a data set",
    )
    add(
        "--test-data",
        nargs="+",
        metavar="FILE",
        help="pairs of other prompts, on which boundaries and races are measured; one for each of --data",
    )
    add(
        "--preference-model",
        default="pairrm",
        metavar="FOLDER_OR_ID",
        help="ranker or reward model (default: %(default)s)",
    )
    add(
        "--instructions",
        metavar="FILE",
        help="instruction and output, for win rates (default: AlpacaEval's, from the hub)",
    )
    add(
        "--judge",
        metavar="FOLDER_OR_ID",
        help="another preference model that judges win rates (default: the preference model)",
    )
    add("--preset", choices=PRESETS, help="settings that fit together (default: what fits this machine)")
    add("--output", type=Path, required=True, metavar="OUT.yaml", help="the file; one that is there stays as it is")
    arguments = parser.parse_args()
    if arguments.output.exists():
        raise BadInput(f"{arguments.output} is there already; choose another --output, or move it away")
    refuse_folder_of(arguments.output)
    if arguments.test_data and len(arguments.test_data) != len(arguments.data):
        raise BadInput(
            f"{len(arguments.data)} --data but {len(arguments.test_data)} --test-data; give one for each, or none"
        )
    return arguments


def refuse_folder_of(output: Path) -> None:
    """Say so beforehand where nothing can be written; a folder that is not there is made."""
    folder = next(folder for folder in output.absolute().parents if folder.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BadInput(
            f"--output {output} cannot be written in {folder} ({os.strerror(error.errno)}); choose another"
        ) from error


def main() -> None:
    arguments = parse_arguments()

    from dpo_stages.preflight.check import reasons_not_to_start
    from dpo_stages.preflight.describe import Description, how_long, time_of
    from dpo_stages.preflight.short_file import as_text, given

    preset = arguments.preset or ("one-gpu" if shutil.which("nvidia-smi") else "laptop")
    written = given(
        preset,
        models=arguments.model,
        data=[
            {"train": train, "test": test}
            for train, test in zip(arguments.data, arguments.test_data or [None] * len(arguments.data), strict=True)
        ],
        preference_model=arguments.preference_model,
        instructions=arguments.instructions,
        judge=arguments.judge,
    )
    description = Description(written, WORKFLOW)
    study = description.study
    for sentence in description.sentences():
        print(sentence)
    comments = description.comments()
    written |= description.fitted
    study.config.update(merged(study.config, description.fitted))
    text = as_text(written, comments)
    if reasons := reasons_not_to_start(description.data):
        print(f"\nThe file would be\n\n{text}", flush=True)
        for reason in reasons:
            print(f"To mend: {reason}", file=sys.stderr)
        raise BadInput(f"{arguments.output} was not written; mend what is named above first")

    model = next(iter(study.config["models"]))
    configuration = json.dumps({**description.sized(), "preset": preset})
    measured = "results/tables/data_sets" if study.config["other_data"] else f"results/boundary/{model}/sft"
    seconds = {
        "boundary": how_long(WORKFLOW, configuration, f"{measured}.json"),
        "policy": how_long(WORKFLOW, configuration, f"results/policies/{model}/{description.method}/off/manifest.json"),
    }
    machine = "this machine's CPU" if not study.gpu else "a GPU like an A100"
    print(
        f"Expected on {machine}: the boundary of {model} in about {time_of(seconds['boundary'])}, a policy trained on one source "
        f"in about {time_of(seconds['policy'])} more."
    )
    from dpo_stages.core.files import write_text

    write_text(arguments.output, text)
    print(f"\nWrote {arguments.output}. Next:\n")
    print(f"    {command(preset, arguments.output)} -- {measured}.md")


def command(preset: str, file: Path) -> str:
    """The words of a run with a preset, up to its targets."""
    profile = {"laptop": "laptop", "one-gpu": "small"}.get(preset, "slurm")
    return f"envs/run workflow -m snakemake --profile {profile} --configfile {file}"


if __name__ == "__main__":
    run(main)
