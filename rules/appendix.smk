"""What stands behind the results: labels, settings, the judge's prompt, sample responses; and all beside the paper.

Required: data, candidates, preferences and comparisons, evaluation outputs, the configuration, tables of policies.
Output:   results/tables/{labels,pairs,table6,table7,table9,table10,comparison}.{csv,md,json}
"""


rule make_labels_table:
    input:
        preferences=[f"results/preferences/{origin}/train.parquet" for origin in contents.labelled_for_report(study)],
        comparisons=[study.comparisons(policy) for policy in contents.compared_for_report(study)],
        accuracies=[
            f"results/label_accuracy/{origin}.json"
            for origin in contents.labelled_for_report(study)
            if "demo_world" in config  # elsewhere nobody knows the right labels
        ],
        held_out=held_out.results(study, held_out.asked(study)),
        program=program("make_labels_table", "workflow"),
    output:
        csv=report("results/tables/labels.csv", category="Tables", labels={"table": "Labels"}),
        markdown="results/tables/labels.md",
        parts="results/tables/labels.json",
    log:
        "results/logs/make_labels_table.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        names=[*contents.labelled_for_report(study), *contents.compared_for_report(study)],
        known=lambda w, input: given(accuracies=input.accuracies, held_out=input.held_out, notes=held_out.note(study)),
    shell:
        f"{RUN} workflow {SCRIPTS}/make_labels_table.py"
        " --preferences {input.preferences:q}"
        " --comparisons {input.comparisons:q}"
        " --names {params.names:q}"
        " {params.known:q}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_pairs_table:
    input:
        data=[study.off_policy("train", origin) for origin in contents.labelled_for_report(study)],
        candidates=[study.candidates(origin, "train") for origin in contents.labelled_for_report(study)],
        preferences=[f"results/preferences/{origin}/train.parquet" for origin in contents.labelled_for_report(study)],
        program=program("make_pairs_table", "workflow"),
    output:
        csv=report("results/tables/pairs.csv", category="Tables", labels={"table": "Pairs"}),
        markdown="results/tables/pairs.md",
        parts="results/tables/pairs.json",
    log:
        "results/logs/make_pairs_table.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        names=contents.labelled_for_report(study),
    shell:
        f"{RUN} workflow {SCRIPTS}/make_pairs_table.py"
        " --data {input.data:q}"
        " --candidates {input.candidates:q}"
        " --preferences {input.preferences:q}"
        " --names {params.names:q}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_settings_table:
    input:
        program=program("make_settings_table", "workflow"),
        paper=f"{PREFIX}workflow_scripts/dpo_stages/report/paper_reference/table{{number}}.csv",
    output:
        csv=report("results/tables/table{number}.csv", category="Settings", labels={"table": "Table {number}"}),
        markdown="results/tables/table{number}.md",
        parts="results/tables/table{number}.json",
    log:
        "results/logs/make_settings_table/table{number}.log",
    wildcard_constraints:
        number="6|7",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        settings=lambda w: flags.settings_of_table(w.number),
    shell:
        f"{RUN} workflow {SCRIPTS}/make_settings_table.py"
        " --table {wildcards.number}"
        " --settings {params.settings:q}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_table9:
    input:
        prompt=judges.prompt(study, config["evaluation"]["judge"]),
        program=program("make_table9", JUDGE_ENV),
    output:
        csv=report("results/tables/table9.csv", category="Settings", labels={"table": "Table 9"}),
        markdown="results/tables/table9.md",
        parts="results/tables/table9.json",
    log:
        "results/logs/make_table9.log",
    localrule: True
    conda:
        f"../envs/{JUDGE_ENV}.yaml"
    params:
        kind=study.judge["kind"],
        model=study.judge["model"],
    shell:
        f"{RUN} {JUDGE_ENV} {SCRIPTS}/make_table9.py"
        " --kind {params.kind}"
        " --model {params.model:q}"
        f"{JUDGE_ASKED}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


if config["responses"]:

    rule make_table10:
        input:
            outputs=lambda w: [
                f"results/evaluations/{policy}/model_outputs.json" for policy in contents.responding_policies(study)
            ],
            instructions=INSTRUCTIONS,
            undecided=contents.lists_of_undecided(study, config["responses"]["table"]),
            program=program("make_table10", "workflow"),
        output:
            csv=report("results/tables/table10.csv", category="Tables", labels={"table": "Table 10"}),
            markdown="results/tables/table10.md",
            parts="results/tables/table10.json",
        log:
            "results/logs/make_table10.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            policies=lambda w: contents.responding_policies(study),
            label=study.names.label(config["responses"]["model"]),
        shell:
            f"{RUN} workflow {SCRIPTS}/make_table10.py"
            " --policies {params.policies}"
            " --outputs {input.outputs:q}"
            " --instructions {input.instructions:q}"
            " --model-label {params.label:q}"
            " --csv {output.csv:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_comparison:
    input:
        tables=expand("results/tables/{table}.csv", table=config["tables"]),
        paper=[
            f"{PREFIX}workflow_scripts/dpo_stages/report/paper_reference/table{number}.csv" for number in range(1, 6)
        ],
        program=program("make_comparison", "workflow"),
    output:
        csv=report("results/tables/comparison.csv", category="Tables", labels={"table": "Comparison with the paper"}),
        markdown="results/tables/comparison.md",
        parts="results/tables/comparison.json",
    log:
        "results/logs/make_comparison.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        f"{RUN} workflow {SCRIPTS}/make_comparison.py"
        " --tables {input.tables:q}"
        " --csv {output.csv:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
