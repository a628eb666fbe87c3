"""What is looked at beside win rates: likelihoods of the candidates, preference consistency, diversity and quality.

Required: candidates and comparisons of the split that measures boundaries; Table 2, quality, training logs.
Output:   results/likelihoods/{sampled}/{split}.parquet, results/consistency/{initial}.json, results/tables/rq1.{csv,md,json}
"""


rule compute_likelihoods:
    input:
        policy=lambda w: paths.policy(w.sampled),
        on_policy=lambda w: study.candidates(w.sampled, w.split),
        off_policy=lambda w: study.off_policy(w.split, w.sampled),
        program=program("compute_likelihoods", "train"),
    output:
        "results/likelihoods/{sampled}/{split}.parquet",
    log:
        "results/logs/compute_likelihoods/{sampled}/{split}.log",
    benchmark:
        "results/benchmarks/compute_likelihoods/{sampled}/{split}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("sampling"),
        mem_mb=needs.inference_memory,
        seconds=needs.expected(needs.likelihood_seconds),
        runtime=needs.limit(needs.likelihood_seconds),
    params:
        scoring=flags.scoring(),
    shell:
        f"{RUN} train {SCRIPTS}/compute_likelihoods.py"
        " --policy {input.policy:q}"
        " --on-policy {input.on_policy:q}"
        " --off-policy {input.off_policy:q}"
        " {params.scoring}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule measure_consistency:
    input:
        comparisons=study.comparisons("{initial}"),
        likelihoods=lambda w: study.likelihoods(w.initial),
        program=program("measure_consistency", "workflow"),
    output:
        "results/consistency/{initial}.json",
    log:
        "results/logs/measure_consistency/{initial}.log",
    wildcard_constraints:
        initial=patterns.measured,
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        confidence=data_sets.confidence(study),
        preference_model=config["preference_model"],
        preference_data=lambda w: study.preference_data(w.initial),
    shell:
        f"{RUN} workflow {SCRIPTS}/measure_consistency.py"
        " --comparisons {input.comparisons:q}"
        " --likelihoods {input.likelihoods:q}"
        " --policy {wildcards.initial}"
        " --preference-model {params.preference_model}"
        " --preference-data {params.preference_data}"
        " --confidence {params.confidence}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_rq1:
    input:
        policies="results/tables/table2.csv",
        quality="results/tables/quality.csv",
        logs=[paths.training_log(policy) for policy in contents.policies_of_rq1(study)],
        program=program("make_rq1", "workflow"),
        paper=f"{PREFIX}workflow_scripts/dpo_stages/report/paper_reference/table2.csv",
    output:
        csv=report("results/tables/rq1.csv", category="Tables", labels={"table": "Diversity and quality (RQ1)"}),
        markdown="results/tables/rq1.md",
        parts="results/tables/rq1.json",
    log:
        "results/logs/make_rq1.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        logs=[f"{policy}={paths.training_log(policy)}" for policy in contents.policies_of_rq1(study)],
        origins=flags.origins(contents.policies_of_rq1(study)),
        preference_data=study.names.labelled(config["preference_data"]),
    shell:
        f"{RUN} workflow {SCRIPTS}/make_rq1.py"
        " --policies {input.policies:q}"
        " --quality {input.quality:q}"
        " --logs {params.logs:q}"
        " --origins {params.origins:q}"
        " --preference-data {params.preference_data}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
