"""Tables and figures of the study.

Required: win rates of the policies, boundary scores of the initial policies.
Output:   results/tables/{table}.{csv,md}, results/figures/{table}.{svg,png}
"""


rule make_table:
    input:
        **{
            f"{which}{kind}": files_of_table(kind, chosen)
            for kind in ("win_rates", "resamples", "boundaries")
            for which, chosen in (("", False), ("chosen_", True))
        },
        traces=lambda w: [f"results/traces/{policy}.json" for policy in traced_policies(w.table)],
        program=program("make_table", "workflow"),
    output:
        csv=report("results/tables/{table}.csv", category="Tables", labels={"table": "{table}"}),
        markdown="results/tables/{table}.md",
        decisions="results/tables/{table}_decisions.csv",
    log:
        "results/logs/make_table/{table}.log",
    wildcard_constraints:
        table=one_of(config["tables"]),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        models=lambda w: labelled("models", config["tables"][w.table]["models"]),
        methods=lambda w: labelled("methods", config["tables"][w.table]["methods"]),
        histories=lambda w: ["-".join(history) for history in histories(w.table)],
        columns=table_setting("columns"),
        seeds=config["seeds"],
        traces=lambda w, input: ["--traces", *input.traces] if input.traces else [],
    shell:
        "envs/run workflow workflow_scripts/make_table.py"
        " --table {wildcards.table}"
        " --models {params.models:q}"
        " --methods {params.methods:q}"
        " --histories {params.histories}"
        " --columns {params.columns}"
        " --seeds {params.seeds}"
        " --win-rates {input.win_rates:q} {input.chosen_win_rates:q}"
        " --boundaries {input.boundaries:q} {input.chosen_boundaries:q}"
        " {params.traces:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " --decisions {output.decisions:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule plot_boundary:
    input:
        table="results/tables/{table}.csv",
        program=program("plot_boundary", "workflow"),
    output:
        svg=report("results/figures/{table}.svg", category="Figures", labels={"figure": "{table}"}),
        png="results/figures/{table}.png",
    log:
        "results/logs/plot_boundary/{table}.log",
    wildcard_constraints:
        table=one_of(config["tables"]),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        "envs/run workflow workflow_scripts/plot_boundary.py"
        " --tables {input.table:q}"
        " --svg {output.svg:q}"
        " --png {output.png:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
