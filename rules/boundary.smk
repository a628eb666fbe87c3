"""The boundary measurement, Algorithm 1: is the policy better than what wrote the off-policy candidates?

Required: sampled and off-policy candidates of the same prompts, the preference model.
Output:   results/comparisons/{policy}/{split}.parquet, results/boundary/{policy}.json,
          results/robustness/{policy}.json (the decision on parts of the comparisons and under other preference models),
          results/decisions/{policy}.json (what `auto` takes next), results/mixtures/{initial policy}/{source}.parquet,
          results/traces/{policy}.json (how a policy came about and what that took)
"""


rule compare_candidates:
    input:
        on_policy=lambda w: candidates(w.policy, w.split),
        off_policy=lambda w: candidates(config["preference_data"], w.split),
        preference_model=PREFERENCE_MODEL,
        program=preference_model_program("compare_candidates"),
        judge=config["judges"][LABELLING_JUDGE]["reads"] if LABELLING_JUDGE else [],
    output:
        sharded("comparisons", "{policy}/{split}.parquet"),
    log:
        sharded_log("comparisons", "results/logs/compare_candidates/{policy}/{split}.log"),
    benchmark:
        sharded_log("comparisons", "results/benchmarks/compare_candidates/{policy}/{split}.jsonl")
    localrule: bool(LABELLING_JUDGE)  # an API is asked from where the internet is
    conda:
        f"../envs/{LABEL_ENV}.yaml"
    resources:
        gpu=0 if LABELLING_JUDGE else gpus("labelling"),
        mem_mb=labelling_memory,
        cents=preference_cents(compared_pairs),
        seconds=expected(preference_seconds(compared_pairs)),
        runtime=limit(preference_seconds(compared_pairs)),
    params:
        preference_model=preference_model_flags(config["preference_model"]),
    shell:
        f"envs/run {LABEL_ENV} workflow_scripts/compare_candidates.py"
        " --on-policy {input.on_policy:q}"
        " --off-policy {input.off_policy:q}"
        " --preference-model {input.preference_model:q}"
        " {params.preference_model}"
        f"{judge_cache('comparisons', '{wildcards.policy}/{wildcards.split}')}"
        f"{shard_flag('comparisons')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule compare_again:
    input:
        on_policy=lambda w: candidates(w.policy, w.split),
        off_policy=lambda w: candidates(config["preference_data"], w.split),
        preference_model="results/preference_models/{opinion}/manifest.json",
        program=program("compare_candidates", "pairrm", without=JUDGES),
    output:
        sharded("second_opinions", "{opinion}/{policy}/{split}.parquet"),
    log:
        sharded_log("second_opinions", "results/logs/compare_again/{opinion}/{policy}/{split}.log"),
    benchmark:
        sharded_log("second_opinions", "results/benchmarks/compare_again/{opinion}/{policy}/{split}.jsonl")
    conda:
        "../envs/pairrm.yaml"
    resources:
        gpu=gpus("labelling"),
        mem_mb=labelling_memory,
        seconds=expected(preference_seconds(compared_pairs)),
        runtime=limit(preference_seconds(compared_pairs)),
    params:
        preference_model=lambda w: preference_model_flags(w.opinion),
    shell:
        "envs/run pairrm workflow_scripts/compare_candidates.py"
        " --on-policy {input.on_policy:q}"
        " --off-policy {input.off_policy:q}"
        " --preference-model {input.preference_model:q}"
        " {params.preference_model}"
        f"{shard_flag('second_opinions')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


if config["boundary"]["sequential"]:

    # Samples and compares in growing blocks until the stage is decided. One job, because starting the engine and the
    # preference model takes longer than most blocks do: both are started once, at the same time, on the same GPU.
    rule measure_boundary:
        input:
            policy=lambda w: manifest(w.policy),
            off_policy=candidates(config["preference_data"], config["boundary"]["split"]),
            trained_on=trained_on(config["boundary"]["split"]),
            preference_model=PREFERENCE_MODEL,
            sampling=program("sample_candidates", SAMPLER),
            comparing=preference_model_program("compare_candidates"),
            judge=config["judges"][LABELLING_JUDGE]["reads"] if LABELLING_JUDGE else [],
            program=program("measure_in_blocks", "workflow"),
        output:
            json="results/boundary/{policy}.json",
            verdict="results/boundary/{policy}.md",
        log:
            "results/logs/measure_boundary/{policy}.log",
        benchmark:
            "results/benchmarks/measure_boundary/{policy}.jsonl"
        conda:
            f"../envs/{SAMPLER}.yaml"
        resources:
            gpu=gpus("sampling"),
            mem_mb=inference_memory,
            cents=preference_cents(boundary_pairs),
            seconds=expected(sequential_seconds),
            runtime=limit(sequential_seconds),
        params:
            sampling=sampling_flags(),
            shared=shared_prompts_flags,
            dtype=DTYPE,
            seed=seed_of,
            confidence=config["boundary"]["confidence"],
            preference_model_flags=preference_model_flags(config["preference_model"]),
            preference_model=config["preference_model"],
            preference_data=config["preference_data"],
        shell:
            "envs/run workflow workflow_scripts/measure_in_blocks.py"
            " --prompts {input.off_policy:q}"
            " {params.shared}"
            f" --sampler 'envs/run {SAMPLER} workflow_scripts/sample_candidates.py --serve"
            " --policy {input.policy}"
            " {params.sampling} --dtype {params.dtype} --seed {params.seed} --gpu-memory-utilization 0.8'"
            f" --comparer 'envs/run {LABEL_ENV} workflow_scripts/compare_candidates.py --serve"
            " --off-policy {input.off_policy} --preference-model {input.preference_model}"
            " {params.preference_model_flags}"
            + (" --cache results/judge_cache/blocks/{wildcards.policy}'" if LABELLING_JUDGE else "'")
            + " --keyed-by {input.policy:q} {input.off_policy:q} {input.preference_model:q}"
            " --blocks results/blocks/{wildcards.policy}"
            " --seed {params.seed}"
            " --confidence {params.confidence}"
            " --policy {wildcards.policy}"
            " --preference-model {params.preference_model}"
            " --preference-data {params.preference_data}"
            " --output {output.json:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

else:

    rule measure_boundary:
        input:
            comparisons=f"results/comparisons/{{policy}}/{config['boundary']['split']}.parquet",
            program=program("measure_boundary", "workflow"),
        output:
            json="results/boundary/{policy}.json",
            verdict="results/boundary/{policy}.md",
        log:
            "results/logs/measure_boundary/{policy}.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            confidence=config["boundary"]["confidence"],
            preference_model=config["preference_model"],
            preference_data=config["preference_data"],
        shell:
            "envs/run workflow workflow_scripts/measure_boundary.py"
            " --comparisons {input.comparisons:q}"
            " --policy {wildcards.policy}"
            " --preference-model {params.preference_model}"
            " --preference-data {params.preference_data}"
            " --confidence {params.confidence}"
            " --output {output.json:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule look_again:
    input:
        comparisons=f"results/comparisons/{{policy}}/{config['boundary']['split']}.parquet",
        second_opinions=expand(
            f"results/second_opinions/{{opinion}}/{{{{policy}}}}/{config['boundary']['split']}.parquet",
            opinion=config["boundary"]["second_opinions"],
        ),
        program=program("measure_boundary", "workflow"),
    output:
        json="results/robustness/{policy}.json",
        verdict="results/robustness/{policy}.md",
    log:
        "results/logs/look_again/{policy}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        confidence=config["boundary"]["confidence"],
        preference_model=config["preference_model"],
        preference_data=config["preference_data"],
        seed=seed_of,
        second_opinions=lambda w, input: (
            [
                "--second-opinion",
                *map("=".join, zip(config["boundary"]["second_opinions"], input.second_opinions, strict=True)),
            ]
            if input.second_opinions
            else []
        ),
    shell:
        "envs/run workflow workflow_scripts/measure_boundary.py"
        " --comparisons {input.comparisons:q}"
        " --robustness"
        " {params.second_opinions:q}"
        " --policy {wildcards.policy}"
        " --preference-model {params.preference_model}"
        " --preference-data {params.preference_data}"
        " --confidence {params.confidence}"
        " --seed {params.seed}"
        " --output {output.json:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


checkpoint choose_source:
    input:
        boundary="results/boundary/{policy}.json",
        program=program("choose_source", "workflow"),
    output:
        "results/decisions/{policy}.json",
    log:
        "results/logs/choose_source/{policy}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        by_hand=lambda w: (
            f"--by-hand {config['boundary']['decisions'][w.policy]}"
            if w.policy in config["boundary"]["decisions"]
            else ""
        ),
    shell:
        "envs/run workflow workflow_scripts/choose_source.py"
        " --boundary {input.boundary:q}"
        " {params.by_hand}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule mix_preferences:
    input:
        on_policy=lambda w: preferences(w.initial, ON),
        off_policy=lambda w: preferences(w.initial, OFF),
        boundary=lambda w: f"results/boundary/{w.initial}.json" if w.mixture == BLEND else [],
        program=program("mix_preferences", "workflow"),
    output:
        "results/mixtures/{initial}/{mixture}.parquet",
    log:
        "results/logs/mix_preferences/{initial}/{mixture}.log",
    wildcard_constraints:
        mixture=rf"{BLEND}|{MIX}",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        share=lambda w, input: (
            ["--boundary", input.boundary] if w.mixture == BLEND else ["--percent", w.mixture.removeprefix("mix")]
        ),
        seed=seed_of,
    shell:
        "envs/run workflow workflow_scripts/mix_preferences.py"
        " --on-policy {input.on_policy:q}"
        " --off-policy {input.off_policy:q}"
        " {params.share:q}"
        " --seed {params.seed}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule trace_policy:
    input:
        files=lambda w: files_of_steps(w.traced),
        program=program("trace_policy", "workflow"),
    output:
        "results/traces/{traced}.json",
    log:
        "results/logs/trace_policy/{traced}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        steps=lambda w: json.dumps(steps(w.traced)),
        split=config["boundary"]["split"],
    shell:
        "envs/run workflow workflow_scripts/trace_policy.py"
        " --policy {wildcards.traced}"
        " --steps {params.steps:q}"
        " --split {params.split}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
