"""Preference candidates: sampled from a policy, then labelled by the preference model like the off-policy ones.

Required: a policy, the prompts of the preference data, the preference model.
Output:   results/candidates/{policy}/{split}.parquet, results/preferences/{data set or policy}/{split}.parquet
"""


rule sample_candidates:
    input:
        policy=lambda w: manifest(w.policy),
        prompts=lambda w: prompts(w.split),
        trained_on=lambda w: trained_on(w.split),
        program=program("sample_candidates", SAMPLER),
    output:
        sharded("candidates", "{policy}/{split}.parquet"),
    log:
        sharded_log("candidates", "results/logs/sample_candidates/{policy}/{split}.log"),
    benchmark:
        sharded_log("candidates", "results/benchmarks/sample_candidates/{policy}/{split}.jsonl")
    conda:
        f"../envs/{SAMPLER}.yaml"
    resources:
        gpu=gpus("sampling"),
        mem_mb=inference_memory,
        seconds=expected(sampling_seconds),
        runtime=limit(sampling_seconds),
    params:
        sampling=sampling_flags(),
        shared=shared_prompts_flags,
        dtype=DTYPE,
        seed=seed_of,
    shell:
        f"envs/run {SAMPLER} workflow_scripts/sample_candidates.py"
        " --policy {input.policy:q}"
        " --prompts {input.prompts:q}"
        " {params.sampling}"
        " {params.shared}"
        " --dtype {params.dtype}"
        " --seed {params.seed}"
        f"{shard_flag('candidates')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


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
    localrule: True  # asks the internet
    conda:
        "../envs/pairrm.yaml"
    params:
        path=lambda w: config["preference_models"][w.name]["path"],
        revision=lambda w: config["preference_models"][w.name]["revision"],
    shell:
        "envs/run pairrm workflow_scripts/fetch_preference_model.py"
        " --path {params.path:q}"
        " --revision {params.revision:q}"
        " --pin results/pins/preference_models/{wildcards.name}.json"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule describe_judge:
    input:
        served=lambda w: labelling_judge(w)["reads"],
        program=program("describe_judge", "workflow", without=(*NETWORKS, *JUDGES)),
    output:
        "results/preference_models/{name}/manifest.json",
    log:
        "results/logs/describe_judge/{name}.log",
    wildcard_constraints:
        name=one_of(name for name, model in config["preference_models"].items() if model["judge"]),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        judge=judge_flags,
    shell:
        "envs/run workflow workflow_scripts/describe_judge.py"
        " {params.judge:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule train_ranker:
    input:
        pairs=ranker_setting("pairs"),
        heldout=ranker_setting("heldout"),
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
    priority: 1  # nothing can be labelled before
    conda:
        "../envs/pairrm.yaml"
    params:
        settings=lambda w: " ".join(
            f"--{key.replace('_', '-')} {value}"
            for key, value in RANKERS[w.name].items()
            if key not in ("pairs", "heldout", "pretraining")
        ),
        pretraining=pretraining_flags,
    shell:
        "envs/run pairrm workflow_scripts/train_ranker.py"
        " --pairs {input.pairs:q}"
        " --heldout {input.heldout:q}"
        " {params.settings}"
        " {params.pretraining}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule label_preferences:
    input:
        pairs=lambda w: candidates(w.origin, w.split),
        preference_model=PREFERENCE_MODEL,
        program=preference_model_program("label_preferences"),
        judge=config["judges"][LABELLING_JUDGE]["reads"] if LABELLING_JUDGE else [],
    output:
        sharded("preferences", "{origin}/{split}.parquet"),
    log:
        sharded_log("preferences", "results/logs/label_preferences/{origin}/{split}.log"),
    benchmark:
        sharded_log("preferences", "results/benchmarks/label_preferences/{origin}/{split}.jsonl")
    localrule: bool(LABELLING_JUDGE)  # an API is asked from where the internet is
    conda:
        f"../envs/{LABEL_ENV}.yaml"
    resources:
        gpu=0 if LABELLING_JUDGE else gpus("labelling"),
        mem_mb=labelling_memory,
        cents=preference_cents(labelled_pairs),
        seconds=expected(preference_seconds(labelled_pairs)),
        runtime=limit(preference_seconds(labelled_pairs)),
    params:
        preference_model=preference_model_flags(config["preference_model"]),
    shell:
        f"envs/run {LABEL_ENV} workflow_scripts/label_preferences.py"
        " --pairs {input.pairs:q}"
        " --preference-model {input.preference_model:q}"
        " {params.preference_model}"
        f"{judge_cache('preferences', '{wildcards.origin}/{wildcards.split}')}"
        f"{shard_flag('preferences')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
