"""Preferences: candidates labelled by the preference model, sampled and off-policy ones alike, or by the data set itself.

Required: candidates, the preference model where it labels.
Output:   results/preference_models/{name}/manifest.json, results/preferences/{labelled}/{split}.parquet
"""

RANKERS = {name: model["training"] for name, model in config["preference_models"].items() if model["training"]}


rule fetch_preference_model:
    input:
        program=program("fetch_preference_model", "pairrm"),
    output:
        "results/preference_models/{name}/manifest.json",
    log:
        "results/logs/fetch_preference_model/{name}.log",
    benchmark:
        "results/benchmarks/fetch_preference_model/{name}.jsonl"
    wildcard_constraints:
        name=one_of(name for name, model in config["preference_models"].items() if model["path"]),
    priority: BEFORE_VERDICT  # what is wrong with it is to be known first
    localrule: True  # asks the internet
    conda:
        "../envs/pairrm.yaml"
    params:
        path=lambda w: config["preference_models"][w.name]["path"],
        revision=lambda w: config["preference_models"][w.name]["revision"],
        content=lambda w: study.content("preference_models", w.name),
    shell:
        f"{RUN} pairrm {SCRIPTS}/fetch_preference_model.py"
        " --path {params.path:q}"
        " --revision {params.revision:q}"
        " --pin results/pins/preference_models/{wildcards.name}.json"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule describe_judge:
    input:
        identified_by=lambda w: study.identified_by(config["preference_models"][w.name]["judge"]),
        prompt=lambda w: judges.prompt(study, config["preference_models"][w.name]["judge"]),
        program=program("describe_judge", "workflow", without=(*NETWORKS, *JUDGES)),
    output:
        "results/preference_models/{name}/manifest.json",
    log:
        "results/logs/describe_judge/{name}.log",
    wildcard_constraints:
        name=one_of(name for name, model in config["preference_models"].items() if model["judge"]),
    priority: SAMPLES_FOR_VERDICT  # it takes a moment
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        judge=flags.asked_judge,
    shell:
        f"{RUN} workflow {SCRIPTS}/describe_judge.py"
        " {params.judge:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule train_ranker:
    input:
        pairs=lambda w: there(RANKERS[w.name]["pairs"]),
        texts=lambda w: (RANKERS[w.name]["pretraining"] or {"texts": []})["texts"],
        program=program("train_ranker", "pairrm"),
    output:
        "results/preference_models/{name}/manifest.json",
    log:
        "results/logs/train_ranker/{name}.log",
    benchmark:
        "results/benchmarks/train_ranker/{name}.jsonl"
    wildcard_constraints:
        name=one_of(RANKERS),
    priority: BEFORE_VERDICT
    conda:
        "../envs/pairrm.yaml"
    params:
        settings=lambda w: as_flags(
            {key: RANKERS[w.name][key] for key in RANKERS[w.name] if key not in ("pairs", "pretraining")}
        ),
        pretraining=lambda w: pretraining(RANKERS[w.name]["pretraining"]),
    shell:
        f"{RUN} pairrm {SCRIPTS}/train_ranker.py"
        " --pairs {input.pairs:q}"
        " {params.settings}"
        " {params.pretraining}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# What the preference model labels: all, or samples alone.
LABELLED_BY_MODEL = patterns.initial if config["labels"] == own_labels.DATASET else patterns.labelled

if not study.grouped:  # else see pairs.smk

    rule label_preferences:
        input:
            pairs=lambda w: study.candidates(w.labelled, w.split),
            preference_model=LABELLER.manifest,
            program=program("label_preferences", LABELLER.env, LABELLER.without),
            judge=LABELLER.files,
        output:
            shards.output("preferences", "{labelled}/{split}.parquet"),
        log:
            shards.log("preferences", "results/logs/label_preferences/{labelled}/{split}.log"),
        benchmark:
            shards.log("preferences", "results/benchmarks/label_preferences/{labelled}/{split}.jsonl")
        wildcard_constraints:
            labelled=LABELLED_BY_MODEL,
        localrule: bool(study.labelling_judge)  # an API is asked from where the internet is
        conda:
            f"../envs/{LABELLER.env}.yaml"
        threads: needs.threads_to_ask(LABELLER)
        resources:
            gpu=0 if study.labelling_judge else needs.gpus("labelling"),
            mem_mb=needs.labelling_memory,
            cents=needs.preference_cents(needs.labelled_pairs),
            seconds=needs.expected(needs.preference_seconds(needs.labelled_pairs)),
            runtime=needs.limit(needs.preference_seconds(needs.labelled_pairs)),
        params:
            preference_model=flags.preference_model(config["preference_model"]),
            left_out=flags.left_out,
            ties=config["ties"],
        shell:
            f"{RUN} {LABELLER.env} {SCRIPTS}/label_preferences.py"
            " --pairs {input.pairs:q}"
            " --preference-model {input.preference_model:q}"
            " {params.preference_model}"
            " {params.left_out}"
            " --ties {params.ties}"
            f"{flags.judge_cache('preferences', '{wildcards.labelled}/{wildcards.split}')}"
            f"{flags.shard('preferences')}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


if config["labels"] == own_labels.DATASET and not study.grouped:

    rule take_own_labels:
        input:
            pairs=lambda w: study.candidates(w.labelled, w.split),
            program=program("take_own_labels", "workflow"),
        output:
            shards.output("preferences", "{labelled}/{split}.parquet"),
        log:
            shards.log("preferences", "results/logs/take_own_labels/{labelled}/{split}.log"),
        wildcard_constraints:
            labelled=one_of(map(study.names.labelled, config["datasets"])),
        localrule: True
        conda:
            "../envs/workflow.yaml"
        shell:
            f"{RUN} workflow {SCRIPTS}/take_own_labels.py"
            " --pairs {input.pairs:q}"
            f"{flags.shard('preferences')}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
