"""The boundary measurement, Algorithm 1: is the policy better than what wrote the off-policy candidates?

Required: sampled and off-policy candidates of the same prompts, the preference model and what its held-out votes say of it.
Output:   results/comparisons/{initial}/{split}.parquet, results/boundary/{initial}.json
"""

MEASURE_BOUNDARY = (
    f"{RUN} workflow {SCRIPTS}/measure_boundary.py"
    " --comparisons {input.comparisons:q}"
    " --policy {wildcards.initial}"
    " --preference-model {params.preference_model}"
    " --preference-data {params.preference_data}"
    " --confidence {params.confidence}"
)
HELD_OUT = held_out.results(study, [config["preference_model"]])


rule compare_candidates:
    input:
        on_policy=lambda w: study.candidates(w.initial, w.split),
        off_policy=lambda w: study.off_policy(w.split, w.initial),
        preference_model=LABELLER.manifest,
        program=program("compare_candidates", LABELLER.env, LABELLER.without),
        judge=LABELLER.files,
    output:
        shards.output("comparisons", "{initial}/{split}.parquet"),
    log:
        shards.log("comparisons", "results/logs/compare_candidates/{initial}/{split}.log"),
    benchmark:
        shards.log("comparisons", "results/benchmarks/compare_candidates/{initial}/{split}.jsonl")
    wildcard_constraints:
        initial=patterns.measured,
    priority: VERDICT
    localrule: bool(study.labelling_judge)  # an API is asked from where the internet is
    conda:
        f"../envs/{LABELLER.env}.yaml"
    threads: needs.threads_to_ask(LABELLER)
    resources:
        gpu=0 if study.labelling_judge else needs.gpus("labelling"),
        mem_mb=needs.labelling_memory,
        cents=needs.preference_cents(needs.compared_pairs),
        seconds=needs.expected(needs.preference_seconds(needs.compared_pairs)),
        runtime=needs.limit(needs.preference_seconds(needs.compared_pairs)),
    params:
        preference_model=flags.preference_model(config["preference_model"]),
    shell:
        f"{RUN} {LABELLER.env} {SCRIPTS}/compare_candidates.py"
        " --on-policy {input.on_policy:q}"
        " --off-policy {input.off_policy:q}"
        " --preference-model {input.preference_model:q}"
        " {params.preference_model}"
        f"{flags.judge_cache('comparisons', '{wildcards.initial}/{wildcards.split}')}"
        f"{flags.shard('comparisons')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


if config["boundary"]["sequential"]:

    # Samples and compares in growing blocks until the stage is decided. One job, because starting the engine and the
    # preference model takes longer than most blocks do: both are started once, at the same time, on the same GPU.
    rule measure_boundary:
        input:
            policy=lambda w: paths.policy(w.initial),
            off_policy=lambda w: study.off_policy(config["boundary"]["split"], w.initial),
            trained_on=lambda w: trained_on(config["boundary"]["split"], w.initial),
            preference_model=LABELLER.manifest,
            sampling=program("sample_candidates", SAMPLER),
            comparing=program("compare_candidates", LABELLER.env, LABELLER.without),
            judge=LABELLER.files,
            held_out=HELD_OUT,
            program=program("measure_in_blocks", "workflow"),
        output:
            json="results/boundary/{initial}.json",
            verdict="results/boundary/{initial}.md",
        log:
            "results/logs/measure_boundary/{initial}.log",
        benchmark:
            "results/benchmarks/measure_boundary/{initial}.jsonl"
        wildcard_constraints:
            initial=patterns.measured,
        priority: VERDICT
        conda:
            f"../envs/{SAMPLER}.yaml"
        threads: needs.threads
        resources:
            gpu=needs.gpus("sampling"),
            mem_mb=needs.inference_memory,
            cents=needs.preference_cents(needs.boundary_pairs),
            seconds=needs.expected(needs.sequential_seconds),
            runtime=needs.limit(needs.sequential_seconds),
        params:
            sampling=flags.sampling() + flags.candidates(),
            shared=flags.shared_prompts,
            dtype=study.dtype,
            seed=study.seed_of,
            name=study.plain_name,
            confidence=data_sets.confidence(study),
            comparing=flags.preference_model(config["preference_model"]),
            preference_model=config["preference_model"],
            preference_data=lambda w: study.preference_data(w.initial),
            notes=flags.boundary_notes,
        shell:
            f"{RUN} workflow {SCRIPTS}/measure_in_blocks.py"
            f" --sampler-env {SAMPLER}"
            f" --comparer-env {LABELLER.env}"
            " --policy-manifest {input.policy:q}"
            " {params.sampling}"
            " --dtype {params.dtype}"
            " --seed {params.seed}"
            " --name {params.name}"
            " --off-policy {input.off_policy:q}"
            " {params.shared}"
            " --preference-model-manifest {input.preference_model:q}"
            " {params.comparing}"
            + (" --cache results/judge_cache/blocks/{wildcards.initial}" if study.labelling_judge else "")
            + " --blocks results/blocks/{wildcards.initial}"
            " --confidence {params.confidence}"
            " --policy {wildcards.initial}"
            " --preference-model {params.preference_model}"
            " --preference-data {params.preference_data}"
            " {params.notes:q}"
            " --output {output.json:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

else:

    rule measure_boundary:
        input:
            comparisons=study.comparisons("{initial}"),
            held_out=HELD_OUT,
            program=program("measure_boundary", "workflow"),
        output:
            json="results/boundary/{initial}.json",
            verdict="results/boundary/{initial}.md",
        log:
            "results/logs/measure_boundary/{initial}.log",
        wildcard_constraints:
            initial=patterns.measured,
        priority: VERDICT
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            confidence=data_sets.confidence(study),
            preference_model=config["preference_model"],
            preference_data=lambda w: study.preference_data(w.initial),
            notes=flags.boundary_notes,
        shell:
            f"{MEASURE_BOUNDARY}" " {params.notes:q} --output {output.json:q} > {log:q} 2>&1 && tail -n 1 {log:q}"
