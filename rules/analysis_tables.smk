"""Tables of what is looked at beside win rates, each where the study has it: likelihoods, diversity, cost, quality.

Required: consistencies, logs and benchmarks of training, judged candidates.
Output:   results/tables/{table8,intra_diversity,boundary_cost,quality}.{csv,md,json}, results/figures/figure3.{svg,png}
"""

if config["analyses"]["table8"]:

    rule make_table8:
        input:
            consistencies=[f"results/consistency/{policy}.json" for policy in study.policies_of_table8()],
            program=program("make_table8", "workflow"),
        output:
            csv="results/tables/table8.csv",
            markdown="results/tables/table8.md",
            parts="results/tables/table8.json",
        log:
            "results/logs/make_table8.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            models=flags.models(config["analyses"]["table8"]["models"]),
        shell:
            f"{RUN} workflow {SCRIPTS}/make_table8.py --decide-by {config['decide_by']}"
            " --models {params.models:q}"
            " --consistencies {input.consistencies:q}"
            " --csv {output.csv:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


if config["analyses"]["figure3"]:

    rule make_intra_diversity:
        input:
            logs=[paths.training_log(policy) for policy in study.policies_of_figure3()],
            program=program("make_intra_diversity", "workflow"),
        output:
            csv="results/tables/intra_diversity.csv",
            markdown="results/tables/intra_diversity.md",
            parts="results/tables/intra_diversity.json",
            svg="results/figures/figure3.svg",
            png="results/figures/figure3.png",
        log:
            "results/logs/make_intra_diversity.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            models=flags.models(config["analyses"]["figure3"]["models"]),
            logs=[f"{policy}={paths.training_log(policy)}" for policy in study.policies_of_figure3()],
        shell:
            f"{RUN} workflow {SCRIPTS}/make_intra_diversity.py"
            " --models {params.models:q}"
            " --logs {params.logs:q}"
            " --csv {output.csv:q}"
            " --svg {output.svg:q}"
            " --png {output.png:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


if config["analyses"]["boundary_cost"]:

    # The benchmark files are no inputs: a missing one is no reason to train again, and the program says what to do.
    rule make_boundary_cost:
        input:
            candidates=study.boundary_cost_files("results/candidates/{sampled}/{split}.parquet"),
            comparisons=study.boundary_cost_files("results/comparisons/{initial}/{split}.parquet"),
            policies=study.boundary_cost_files("results/policies/{trained}/manifest.json"),
            preferences=f"results/preferences/{study.names.labelled(config['preference_data'])}/train.parquet",
            program=program("make_boundary_cost", "workflow"),
        output:
            csv="results/tables/boundary_cost.csv",
            markdown="results/tables/boundary_cost.md",
            parts="results/tables/boundary_cost.json",
        log:
            "results/logs/make_boundary_cost.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            models=flags.models(config["analyses"]["boundary_cost"]["models"]),
            method=config["methods"][config["analyses"]["boundary_cost"]["method"]]["label"],
            epochs=config["methods"][config["analyses"]["boundary_cost"]["method"]]["epochs"],
            split=config["boundary"]["split"],
            sampling=study.boundary_cost_files(
                "results/benchmarks/sample_candidates/{sampled}/{split}.jsonl", "candidates"
            ),
            comparing=study.boundary_cost_files(
                "results/benchmarks/compare_candidates/{initial}/{split}.jsonl", "comparisons"
            ),
            training=study.boundary_cost_files("results/benchmarks/train_policy/{trained}.jsonl"),
            gpus=[needs.gpus("sampling"), needs.gpus("labelling"), needs.gpus("training")],
        shell:
            f"{RUN} workflow {SCRIPTS}/make_boundary_cost.py"
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
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


if config["quality"]["pairs"]:

    rule make_quality_table:
        input:
            win_rates=[f"results/evaluations/{judged}/win_rate.json" for judged in contents.quality_pairs(study)],
            program=program("make_quality_table", "workflow"),
            paper=f"{PREFIX}workflow_scripts/dpo_stages/report/paper_reference/quality.csv",
        output:
            csv=report("results/tables/quality.csv", category="Tables", labels={"table": "Quality of candidates"}),
            markdown="results/tables/quality.md",
            parts="results/tables/quality.json",
        log:
            "results/logs/make_quality_table.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            pairs=["=".join(pair) for pair in contents.labelled_quality_pairs(study)],
            preference_data=study.names.labelled(config["preference_data"]),
        shell:
            f"{RUN} workflow {SCRIPTS}/make_quality_table.py"
            " --pairs {params.pairs:q}"
            " --win-rates {input.win_rates:q}"
            " --preference-data {params.preference_data}"
            " --csv {output.csv:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
