"""Policies: base models, supervised fine-tuning, and one iteration of preference optimisation after another.

Required: a hub id or folder in `config["models"]`; preferences and reference log-probabilities.
Output:   results/policies/{policy}/manifest.json beside the checkpoint whose files it lists
"""


rule fetch_model:
    input:
        template=lambda w: there(study.chat_template(w.base) or []),
        program=program("fetch_model", "train"),
    output:
        "results/models/{base}/manifest.json",
    log:
        "results/logs/fetch_model/{base}.log",
    benchmark:
        "results/benchmarks/fetch_model/{base}.jsonl"
    wildcard_constraints:
        base=one_of(name for name, model in config["models"].items() if model["path"]),
    priority: BEFORE_VERDICT  # what is wrong with it is to be known first
    localrule: True  # asks the internet
    conda:
        "../envs/train.yaml"
    resources:
        disk_mb=lambda w: round(2 * config["models"][w.base]["parameters"] / 1e6),
    params:
        path=lambda w: config["models"][w.base]["path"],
        revision=lambda w: config["models"][w.base]["revision"],
        content=lambda w: study.content("models", w.base),
        template=lambda w, input: ["--chat-template", input.template] if input.template else [],
        written=flags.written_into_template,  # apart: Snakemake takes no notice of a change where inputs are named
    shell:
        f"{RUN} train {SCRIPTS}/fetch_model.py"
        " --path {params.path:q} --revision {params.revision:q}"
        " --pin results/pins/models/{wildcards.base}.json"
        " {params.template:q} {params.written:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# Two rules make {model}/sft: one trains, the other takes a model that follows instructions already as it is.
rule train_sft:
    input:
        base=study.base_model,
        dataset=lambda w: f"results/datasets/{study.model_of(w)['sft']}/train.parquet",
        program=program("train_sft", "train"),
    output:
        manifest="results/policies/{model}/sft/manifest.json",
        log="results/policies/{model}/sft/training_log.jsonl",
    log:
        "results/logs/train_sft/{model}.log",
    benchmark:
        "results/benchmarks/train_sft/{model}.jsonl"
    wildcard_constraints:
        model=Patterns.seeded(name for name, model in config["models"].items() if model["sft"]),
    priority: BEFORE_VERDICT
    conda:
        "../envs/train.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("training"),
        mem_mb=needs.training_memory,
        checkpoint_minutes=config["resources"]["checkpoint_minutes"],
        report_to=config["report_to"],
        keep=needs.kept,
        seconds=needs.expected(needs.sft_seconds),
        runtime=needs.limit(needs.sft_seconds),
        disk_mb=needs.kept_size,
        whole_mb=needs.checkpoint_size,
        checkpoint_mb=needs.resumable_size,
    params:
        settings=flags.sft(),
        max_length=config["max_length"],
        dtype=study.dtype,
        seed=study.seed_of,
    shell:
        f"{TRAIN} {SCRIPTS}/train_sft.py"
        " --base {input.base:q}"
        " --dataset {input.dataset:q}"
        " {params.settings}"
        " --max-length {params.max_length} --dtype {params.dtype} --seed {params.seed}"
        " --policy {wildcards.model}/sft"
        " --checkpoints results/checkpoints/{wildcards.model}/sft"
        " --checkpoint-minutes {resources.checkpoint_minutes}"
        " --report-to {resources.report_to} --curves results/logs/curves/{wildcards.model}/sft"
        " --keep {resources.keep} --output {output.manifest:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule adopt_policy:
    input:
        model=study.base_model,
        program=program("adopt_policy", "workflow"),
    output:
        "results/policies/{model}/sft/manifest.json",
    log:
        "results/logs/adopt_policy/{model}.log",
    wildcard_constraints:
        model=Patterns.seeded(name for name, model in config["models"].items() if not model["sft"]),
    priority: SAMPLES_FOR_VERDICT  # it takes a moment
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        policy="{model}/sft",
    shell:
        f"{RUN} workflow {SCRIPTS}/adopt_policy.py"
        " --model {input.model:q}"
        " --policy {params.policy}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# A history with `auto` stands for a fixed one, whose policy is trained once; here it gets the name that was asked for.
use rule adopt_policy as adopt_choice with:
    input:
        model=lambda w: paths.policy(study.resolved(Policy.parse(f"{w.model}/{w.method}/{w.undecided}"))),
        program=program("adopt_policy", "workflow"),
    output:
        "results/policies/{model}/{method}/{undecided}/manifest.json",
    log:
        "results/logs/adopt_choice/{model}/{method}/{undecided}.log",
    wildcard_constraints:
        model=patterns.model,
    params:
        policy="{model}/{method}/{undecided}",


# The same command for an arm of a race, the beginning of such a training, which the policy itself goes on from.
TRAIN_POLICY = (
    f"{TRAIN} {SCRIPTS}/train_policy.py"
    " --initial {input.initial:q} --preferences {input.preferences:q}"
    " --reference-logps {input.reference_logps:q}"
    " {params.loss} {params.optimisation}"
    " --max-length {params.max_length} --dtype {params.dtype} --seed {params.seed}"
    " --policy {wildcards.model}/{wildcards.method}/{wildcards.history}"
    " --checkpoints results/checkpoints/{wildcards.model}/{wildcards.method}/{wildcards.history}"
    " --checkpoint-minutes {resources.checkpoint_minutes}"
    " --report-to {resources.report_to} --curves results/logs/curves/{wildcards.model}/{wildcards.method}/{wildcards.history}"
)


rule train_policy:
    input:
        initial=lambda w: paths.policy(study.named_by(w).initial),
        preferences=lambda w: study.preferences(study.named_by(w).initial, study.named_by(w).source),
        reference_logps=lambda w: paths.reference_logps(study.named_by(w).initial, study.named_by(w).source),
        program=program("train_policy", "train"),
    output:
        manifest="results/policies/{model}/{method}/{history}/manifest.json",
        log="results/policies/{model}/{method}/{history}/training_log.jsonl",
    log:
        "results/logs/train_policy/{model}/{method}/{history}.log",
    benchmark:
        "results/benchmarks/train_policy/{model}/{method}/{history}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("training"),
        mem_mb=needs.training_memory,
        checkpoint_minutes=config["resources"]["checkpoint_minutes"],
        report_to=config["report_to"],
        keep=needs.kept,
        seconds=needs.expected(needs.training_seconds),
        runtime=needs.limit(needs.training_seconds),
        disk_mb=needs.kept_size,
        whole_mb=needs.checkpoint_size,
        checkpoint_mb=needs.resumable_size,
    params:
        loss=flags.loss,
        optimisation=lambda w: flags.optimisation(config["methods"][w.method]),
        max_length=config["max_length"],
        dtype=study.dtype,
        seed=study.seed_of,
    shell:
        TRAIN_POLICY + " --keep {resources.keep} --output {output.manifest:q} > {log:q} 2>&1 && tail -n 1 {log:q}"
