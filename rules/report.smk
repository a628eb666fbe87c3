"""What people read first: settings, prompt and sample responses as tables, the comparison with the paper, one page.

Required: the tables and figures of the study, evaluation outputs, the configuration.
Output:   results/tables/{labels,table6,table7,table9,table10,comparison}.{csv,md}, results/figures/rules.svg,
          results/report.html
"""

# What the report shows, in its order: tables by name (results/tables/{name}.md), and figures with their captions
# (results/figures/{name}.svg). Add others here.
REPORT_TABLES = [
    *config["tables"],
    "table8",
    "quality",
    "intra_diversity",
    "boundary_cost",
    "labels",
    "table6",
    "table7",
    "table9",
]
REPORT_FIGURES = {
    **{table: figure_caption(table) for table in config["tables"] if shows_boundary(table)},
    "figure3": "Intra-diversity (equation 12) of each candidate source while the SFT policies are trained on it.",
}

PAPER_TABLES = [f"workflow_scripts/paper_reference/table{number}.csv" for number in range(1, 6)]


rule make_labels_table:
    input:
        preferences=[f"results/preferences/{origin}/train.parquet" for origin in labelled_for_report()],
        comparisons=[
            f"results/comparisons/{policy}/{config['boundary']['split']}.parquet" for policy in compared_for_report()
        ],
        program=program("make_labels_table", "workflow"),
    output:
        csv=report("results/tables/labels.csv", category="Tables", labels={"table": "Labels"}),
        markdown="results/tables/labels.md",
    log:
        "results/logs/make_labels_table.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        names=[*labelled_for_report(), *compared_for_report()],
    shell:
        "envs/run workflow workflow_scripts/make_labels_table.py"
        " --preferences {input.preferences:q}"
        " --comparisons {input.comparisons:q}"
        " --names {params.names:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_settings_table:
    input:
        program=program("make_settings_table", "workflow"),
        paper="workflow_scripts/paper_reference/table{number}.csv",
    output:
        csv=report("results/tables/table{number}.csv", category="Settings", labels={"table": "Table {number}"}),
        markdown="results/tables/table{number}.md",
    log:
        "results/logs/make_settings_table/table{number}.log",
    wildcard_constraints:
        number="6|7",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        settings=lambda w: settings_of_table(w.number),
    shell:
        "envs/run workflow workflow_scripts/make_settings_table.py"
        " --table {wildcards.number}"
        " --settings {params.settings:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule show_judge_prompt:
    input:
        program=program("show_judge_prompt", JUDGE_ENV),
    output:
        csv=report("results/tables/table9.csv", category="Settings", labels={"table": "Table 9"}),
        markdown="results/tables/table9.md",
    log:
        "results/logs/show_judge_prompt.log",
    localrule: True
    conda:
        f"../envs/{JUDGE_ENV}.yaml"
    params:
        kind=JUDGE["kind"],
        model=JUDGE["model"],
    shell:
        f"envs/run {JUDGE_ENV} workflow_scripts/show_judge_prompt.py"
        " --kind {params.kind}"
        " --model {params.model:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule collect_responses:
    input:
        outputs=lambda w: [f"results/evaluations/{policy}/model_outputs.json" for policy in responding_policies()],
        instructions=INSTRUCTIONS,
        program=program("collect_responses", "workflow"),
    output:
        csv=report("results/tables/table10.csv", category="Tables", labels={"table": "Table 10"}),
        markdown="results/tables/table10.md",
    log:
        "results/logs/collect_responses.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        policies=lambda w: responding_policies(),
        label=config["models"][config["responses"]["model"]]["label"],
    shell:
        "envs/run workflow workflow_scripts/collect_responses.py"
        " --policies {params.policies}"
        " --outputs {input.outputs:q}"
        " --instructions {input.instructions:q}"
        " --model-label {params.label:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule compare_with_paper:
    input:
        tables=expand("results/tables/{table}.csv", table=config["tables"]),
        paper=[file for file in PAPER_TABLES if Path(file).stem in config["tables"]],
        program=program("compare_with_paper", "workflow"),
    output:
        csv=report("results/tables/comparison.csv", category="Tables", labels={"table": "Comparison with the paper"}),
        markdown="results/tables/comparison.md",
    log:
        "results/logs/compare_with_paper.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        "envs/run workflow workflow_scripts/compare_with_paper.py"
        " --tables {input.tables:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule draw_rule_graph:
    input:
        workflow=["Snakefile", *sorted(str(file.relative_to(ROOT)) for file in ROOT.glob("rules/*.smk"))],
        program=program("draw_rule_graph", "workflow"),
    output:
        report("results/figures/rules.svg", category="Figures", labels={"figure": "Rules of the workflow"}),
    log:
        "results/logs/draw_rule_graph.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        configuration=lambda w: json.dumps(config, sort_keys=True),  # a function: what has braces in it is no wildcard
        targets=[f"results/tables/{table}.csv" for table in REPORT_TABLES],
    shell:
        "envs/run workflow workflow_scripts/draw_rule_graph.py"
        " --configuration {params.configuration:q}"
        " --targets {params.targets:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_report:
    input:
        policy_tables=expand("results/tables/{table}.csv", table=config["tables"]),
        tables=expand("results/tables/{table}.md", table=REPORT_TABLES),
        figures=expand("results/figures/{figure}.svg", figure=REPORT_FIGURES),
        comparison=multiext("results/tables/comparison", ".csv", ".md"),
        responses="results/tables/table10.csv",
        rules="results/figures/rules.svg",
        cost="results/cost.csv",
        judgements=lambda w: expand("results/evaluations/{judged}/annotations.json", judged=judged_for_report()),
        locks=expand("envs/{env}.lock.txt", env=["workflow", "train", SAMPLER, "pairrm", "alpaca-eval"]),
        page=["workflow_scripts/report/page.html.jinja", "workflow_scripts/report/style.css"],
        program=program("make_report", "workflow"),
    output:
        "results/report.html",
    log:
        "results/logs/make_report.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        study=lambda w: json.dumps(study_in_words()),
        captions=[REPORT_FIGURES[figure] for figure in REPORT_FIGURES],
    shell:
        "envs/run workflow workflow_scripts/make_report.py"
        " --study {params.study:q}"
        " --policy-tables {input.policy_tables:q}"
        " --tables {input.tables:q}"
        " --figures {input.figures:q}"
        " --captions {params.captions:q}"
        " --comparison {input.comparison[0]:q}"
        " --responses {input.responses:q}"
        " --rules {input.rules:q}"
        " --cost {input.cost:q}"
        " --judgements {input.judgements:q}"
        " --locks {input.locks:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
