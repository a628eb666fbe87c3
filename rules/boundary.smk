"""The boundary measurement, Algorithm 1: is the policy better than what wrote the off-policy candidates?

Required: sampled and off-policy candidates of the same prompts, the preference model.
Output:   results/comparisons/{policy}/{split}.parquet, results/boundary/{policy}.json,
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
