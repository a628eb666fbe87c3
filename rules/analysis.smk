"""What is looked at beside win rates: likelihoods, preference consistency, intra-diversity, cost of the measurement.

Required: candidates and comparisons of the split that measures boundaries, logs of training, benchmarks of the jobs.
Output:   results/likelihoods/{policy}/{split}.parquet, results/consistency/{policy}.json,
          results/tables/{table8,intra_diversity,boundary_cost}.{csv,md}, results/figures/figure3.{svg,png}
"""


rule compute_likelihoods:
    input:
        policy=lambda w: manifest(w.policy),
        on_policy=lambda w: candidates(w.policy, w.split),
        off_policy=lambda w: candidates(config["preference_data"], w.split),
        program=program("compute_likelihoods", "train"),
    output:
        "results/likelihoods/{policy}/{split}.parquet",
    log:
        "results/logs/compute_likelihoods/{policy}/{split}.log",
    benchmark:
        "results/benchmarks/compute_likelihoods/{policy}/{split}.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        gpu=gpus("sampling"),
        mem_mb=inference_memory,
        seconds=expected(likelihood_seconds),
        runtime=limit(likelihood_seconds),
    params:
        max_length=config["max_length"],
        dtype=DTYPE,
    shell:
        "envs/run train workflow_scripts/compute_likelihoods.py"
        " --policy {input.policy:q}"
        " --on-policy {input.on_policy:q}"
        " --off-policy {input.off_policy:q}"
        " --max-length {params.max_length}"
        " --batch-size 16"
        " --dtype {params.dtype}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule measure_consistency:
    input:
        comparisons=f"results/comparisons/{{policy}}/{config['boundary']['split']}.parquet",
        likelihoods=f"results/likelihoods/{{policy}}/{config['boundary']['split']}.parquet",
        program=program("measure_consistency", "workflow"),
    output:
        "results/consistency/{policy}.json",
    log:
        "results/logs/measure_consistency/{policy}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        confidence=config["boundary"]["confidence"],
        preference_model=config["preference_model"],
        preference_data=config["preference_data"],
    shell:
        "envs/run workflow workflow_scripts/measure_consistency.py"
        " --comparisons {input.comparisons:q}"
        " --likelihoods {input.likelihoods:q}"
        " --policy {wildcards.policy}"
        " --preference-model {params.preference_model}"
        " --preference-data {params.preference_data}"
        " --confidence {params.confidence}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule compare_likelihoods:
    input:
        consistencies=expand("results/consistency/{policy}.json", policy=policies_of_table8()),
        program=program("compare_likelihoods", "workflow"),
    output:
        csv="results/tables/table8.csv",
        markdown="results/tables/table8.md",
    log:
        "results/logs/compare_likelihoods.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        models=labelled("models", config["analyses"]["table8"]["models"]),
    shell:
        "envs/run workflow workflow_scripts/compare_likelihoods.py"
        " --models {params.models:q}"
        " --consistencies {input.consistencies:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule summarise_intra_diversity:
    input:
        logs=[training_log(policy) for policy in policies_of_figure3()],
        program=program("summarise_intra_diversity", "workflow"),
    output:
        csv="results/tables/intra_diversity.csv",
        markdown="results/tables/intra_diversity.md",
    log:
        "results/logs/summarise_intra_diversity.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        models=labelled("models", config["analyses"]["figure3"]["models"]),
        logs=[f"{policy}={training_log(policy)}" for policy in policies_of_figure3()],
    shell:
        "envs/run workflow workflow_scripts/summarise_intra_diversity.py"
        " --models {params.models:q}"
        " --logs {params.logs:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# The curves of the study's first seed.
rule plot_intra_diversity:
    input:
        logs=[training_log(policy) for policy in policies_of_figure3() if policy.seed is None],
        program=program("plot_intra_diversity", "workflow"),
    output:
        svg="results/figures/figure3.svg",
        png="results/figures/figure3.png",
    log:
        "results/logs/plot_intra_diversity.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        models=labelled("models", config["analyses"]["figure3"]["models"]),
        logs=[f"{policy}={training_log(policy)}" for policy in policies_of_figure3() if policy.seed is None],
    shell:
        "envs/run workflow workflow_scripts/plot_intra_diversity.py"
        " --models {params.models:q}"
        " --logs {params.logs:q}"
        " --svg {output.svg:q}"
        " --png {output.png:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# The benchmark files are no inputs: a missing one is no reason to train again, and the program says what to do.
rule compare_costs:
    input:
        candidates=boundary_cost_files("results/candidates/{model}/sft/{split}.parquet"),
        comparisons=boundary_cost_files("results/comparisons/{model}/sft/{split}.parquet"),
        policies=boundary_cost_files("results/policies/{model}/{method}/{off}/manifest.json"),
        preferences=f"results/preferences/{config['preference_data']}/train.parquet",
        program=program("compare_costs", "workflow"),
    output:
        csv="results/tables/boundary_cost.csv",
        markdown="results/tables/boundary_cost.md",
    log:
        "results/logs/compare_costs.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        models=labelled("models", config["analyses"]["boundary_cost"]["models"]),
        method=config["methods"][config["analyses"]["boundary_cost"]["method"]]["label"],
        epochs=config["methods"][config["analyses"]["boundary_cost"]["method"]]["epochs"],
        split=config["boundary"]["split"],
        sampling=boundary_cost_files("results/benchmarks/sample_candidates/{model}/sft/{split}.jsonl", "candidates"),
        comparing=boundary_cost_files("results/benchmarks/compare_candidates/{model}/sft/{split}.jsonl", "comparisons"),
        training=boundary_cost_files("results/benchmarks/train_policy/{model}/{method}/{off}.jsonl"),
        gpus=[gpus("sampling"), gpus("labelling"), gpus("training")],
    shell:
        "envs/run workflow workflow_scripts/compare_costs.py"
        " --models {params.models:q}"
        " --candidates {input.candidates:q}"
        " --preferences {input.preferences:q}"
        " --sampling {params.sampling:q}"
        " --comparing {params.comparing:q}"
        " --training {params.training:q}"
        " --gpus {params.gpus}"
        " --epochs {params.epochs}"
        " --split {params.split}"
        " --method {params.method:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
