"""The two arms of an initial policy before the preference model that its boundary score is relative to.

Required: evaluation outputs of both arms, the instruction set, the preference model.
Output:   results/arms/{compared}.parquet
"""


rule compare_arms:
    input:
        off_policy=lambda w: paths.evaluation(arms.pair_of(w.compared)[0], "model_outputs.json"),
        on_policy=lambda w: paths.evaluation(arms.pair_of(w.compared)[1], "model_outputs.json"),
        instructions=INSTRUCTIONS,
        preference_model=LABELLER.manifest,
        program=program("compare_arms", LABELLER.env, LABELLER.without),
        judge=LABELLER.files,
    output:
        "results/arms/{compared}.parquet",
    log:
        "results/logs/compare_arms/{compared}.log",
    benchmark:
        "results/benchmarks/compare_arms/{compared}.jsonl"
    wildcard_constraints:
        compared=patterns.arms,
    localrule: bool(study.labelling_judge)  # an API is asked from where the internet is
    conda:
        f"../envs/{LABELLER.env}.yaml"
    threads: needs.threads_to_ask(LABELLER)
    resources:
        gpu=0 if study.labelling_judge else needs.gpus("labelling"),
        mem_mb=needs.labelling_memory,
        cents=needs.preference_cents(needs.arms_pairs),
        seconds=needs.expected(needs.preference_seconds(needs.arms_pairs)),
        runtime=needs.limit(needs.preference_seconds(needs.arms_pairs)),
    params:
        preference_model=flags.preference_model(config["preference_model"]),
    shell:
        f"{RUN} {LABELLER.env} {SCRIPTS}/compare_arms.py"
        " --off-policy {input.off_policy:q}"
        " --on-policy {input.on_policy:q}"
        " --instructions {input.instructions:q}"
        " --preference-model {input.preference_model:q}"
        " {params.preference_model}"
        f"{flags.judge_cache('arms', '{wildcards.compared}')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
