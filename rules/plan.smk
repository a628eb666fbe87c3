"""What the study is going to take, and what it took.

Required: sizes and speeds in the configuration; benchmark files of finished jobs for the latter.
Output:   results/plan.{csv,md,json} before anything is made, results/cost.{csv,md,json} after all tables are
"""

PLANNED = [*expand("results/tables/{table}.csv", table=config["tables"]), *audits.for_report(study)]


rule plan_study:
    input:
        workflow=RULE_FILES,
        finished=lambda w: PLANNED if w.when == "cost" else [],
        program=program("plan_study", "workflow"),
    output:
        csv="results/{when}.csv",
        markdown="results/{when}.md",
        parts="results/{when}.json",
    log:
        "results/logs/plan_study/{when}.log",
    wildcard_constraints:
        when="plan|cost",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        configuration=lambda w: json.dumps(config, sort_keys=True),  # a function: what has braces in it is no wildcard
        targets=PLANNED,
        seeds=len(config["seeds"]),
        replicates=config["replicates"],
        notes=given(
            notes=[
                *independence.cautions(study),
                *race_costs.words(study, needs, races),
                *opinions.costs(study, needs),
            ]
        ),
    shell:
        f"{RUN} workflow {SCRIPTS}/plan_study.py"
        f" --snakefile {SNAKEFILE}"
        " --configuration {params.configuration:q}"
        " --targets {params.targets:q}"
        " --seeds {params.seeds}"
        " --replicates {params.replicates}"
        " --benchmarks results/benchmarks"
        " {params.notes:q}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
