"""Tables of results: policies, likelihoods, intra-diversity with its figure, cost of the measurement, quality.

Required: win rates and boundary scores; consistencies, logs and benchmarks of training, judged candidates.
Output:   results/tables/{table,table8,intra_diversity,boundary_cost,quality}.{csv,md,json},
          results/figures/figure3.{svg,png}; results/tables/{table}_policies.txt where `auto` decides
"""


# As long as a decision of `auto` is missing, Snakemake looks at nothing else that a table is made of, and would take a
# table of other policies for finished: one seed, replicate or model more, or another suffix, has to show here.
rule list_policies:
    output:
        "results/tables/{table}_policies.txt",
    log:
        "results/logs/list_policies/{table}.log",
    wildcard_constraints:
        table=one_of(config["tables"]),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        policies=lambda w: list(map(str, study.trained_policies(w.table))),
    shell:
        "printf '%s\\n' {params.policies:q} > {output:q} 2> {log:q}"


rule make_table:
    input:
        **{
            f"{which}{kind}": study.files_of_table(kind, chosen)
            for kind in ("win_rates", "resamples", "boundaries")
            for which, chosen in (("", False), ("chosen_", True))
        },
        arms=lambda w: arms.comparisons_of_table(study, w.table),
        chosen_arms=lambda w: arms.comparisons_of_table(study, w.table, chosen=True),
        traces=lambda w: [f"results/traces/{policy}.json" for policy in study.traced_policies(w.table)],
        length_control=independence.length_control(study) or [],
        undecided=lambda w: contents.lists_of_undecided(study, w.table),
        program=program("make_table", "workflow"),
    output:
        csv=report("results/tables/{table}.csv", category="Tables", labels={"table": "{table}"}),
        markdown="results/tables/{table}.md",
        parts="results/tables/{table}.json",
        decisions="results/tables/{table}_decisions.csv",
    log:
        "results/logs/make_table/{table}.log",
    wildcard_constraints:
        table=one_of(config["tables"]),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        models=lambda w: flags.models(config["tables"][w.table]["models"]),
        methods=lambda w: labelled(config["methods"], config["tables"][w.table]["methods"]),
        histories=lambda w: ["-".join(history) for history in study.histories(w.table)],
        columns=lambda w: config["tables"][w.table]["columns"],
        seeds=config["seeds"],
        given=lambda w, input: given(
            arms=[*input.arms, *input.chosen_arms],
            length_control=[input.length_control] if input.length_control else [],
            notes=independence.cautions(study),
            replicates=[str(config["replicates"])],
            suffixes=study.names.both,
            traces=input.traces,
        ),
    shell:
        f"{RUN} workflow {SCRIPTS}/make_table.py"
        " --table {wildcards.table}"
        " --models {params.models:q}"
        " --methods {params.methods:q}"
        " --histories {params.histories}"
        " --columns {params.columns}"
        " --seeds {params.seeds}"
        " --win-rates {input.win_rates:q} {input.chosen_win_rates:q}"
        " --boundaries {input.boundaries:q} {input.chosen_boundaries:q}"
        " {params.given:q}"
        " --csv {output.csv:q}"
        " --decisions {output.decisions:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


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
        f"{RUN} workflow {SCRIPTS}/make_table8.py"
        " --models {params.models:q}"
        " --consistencies {input.consistencies:q}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


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
        sampling=study.boundary_cost_files("results/benchmarks/sample_candidates/{sampled}/{split}.jsonl", "candidates"),
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
