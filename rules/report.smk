"""What people read first: figures, and one page with everything.

Required: the tables of the study, annotations, training logs, the configuration, the workflow itself.
Output:   results/figures/{table,rules}.svg, results/report.html
"""

# What the report shows, in its order: tables by name (results/tables/{name}.json), and figures with their captions
# (results/figures/{name}.svg). Add others here.
REPORT_TABLES = contents.tables_of_report(study)
REPORT_FIGURES = {
    **{
        table: f"{table.replace('table', 'Table ')}: boundary score of each initial policy against its off-policy arm less its "
        "on-policy arm on each yardstick. In the shaded quadrants the recommended arm is ahead, which is noise where a bar reaches "
        "the line; a score whose bar reaches 0.5 is undecided. Bars hold which prompts and instructions were asked, and that "
        "another run gives another policy only where arms have replicates."
        + (" A point of off.NAME stands at the score against the data set NAME." if config["other_data"] else "")
        for table in config["tables"]
        if contents.shows_boundary(study, table)
    },
}
if config["other_data"]:
    REPORT_FIGURES["data_sets"] = (
        "How often own samples win against the responses of each data set, by the preference model; filled where that is decided."
    )
if config["analyses"]["figure3"]:
    REPORT_FIGURES["figure3"] = (
        "Intra-diversity (equation 12) of each candidate source while the SFT policies are trained on it."
    )
COMPARED = contents.compared_for_report(study)
ENVIRONMENTS = ["workflow", "train", SAMPLER, "pairrm", "alpaca-eval"]
if config["capabilities"]["tables"]:
    ENVIRONMENTS.append("lm-eval")


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
        f"{RUN} workflow {SCRIPTS}/plot_boundary.py"
        " --tables {input.table:q}"
        " --svg {output.svg:q}"
        " --png {output.png:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule draw_rule_graph:
    input:
        workflow=RULE_FILES,
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
        f"{RUN} workflow {SCRIPTS}/draw_rule_graph.py"
        f" --snakefile {SNAKEFILE}"
        " --configuration {params.configuration:q}"
        " --targets {params.targets:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_report:
    input:
        policy_tables=expand("results/tables/{table}.csv", table=config["tables"]),
        tables=expand("results/tables/{table}.json", table=REPORT_TABLES),
        figures=expand("results/figures/{figure}.svg", figure=REPORT_FIGURES),
        labels="results/tables/labels.csv",
        held_out=held_out.results(study, held_out.asked(study)),
        audits=audits.for_report(study),
        boundaries=[paths.boundary(policy) for policy in COMPARED],
        second_opinions=opinions.for_report(study, COMPARED),
        races=[paths.race(policy) for policy in races_for_report(study)],
        curves=[f"results/races/{policy}.svg" for policy in races_for_report(study)],
        trainings=lambda w: [paths.training_log(policy) for policy in contents.trained_for_report(study)],
        comparison=multiext("results/tables/comparison", ".csv", ".json") if contents.of_the_paper(study) else [],
        responses="results/tables/table10.csv" if config["responses"] else [],
        rules="results/figures/rules.svg",
        cost="results/cost.csv",
        judgements=lambda w: [
            paths.evaluation(judged, "annotations.json") for judged in contents.judged_for_report(study)
        ],
        locks=expand(f"{PREFIX}envs/{{env}}.lock.txt", env=ENVIRONMENTS),
        page=[f"{PREFIX}workflow_scripts/dpo_stages/report/{file}" for file in ("page.html.jinja", "style.css")],
        program=program("make_report", "workflow"),
    output:
        report("results/report.html", category="Report", labels={"page": "Everything"}),
    log:
        "results/logs/make_report.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        study=lambda w: json.dumps(contents.in_words(study)),
        captions=[REPORT_FIGURES[figure] for figure in REPORT_FIGURES],
        notes=given(notes=[*plain_win_rates.why(study), *independence.cautions(study), *held_out.note(study)]),
        given=lambda w, input: given(
            held_out=input.held_out,
            audits=input.audits,
            second_opinions=input.second_opinions,
            races=input.races,
            trainings=[f"{paths.policy_of_log(log)}={log}" for log in input.trainings],
            betas=[f"{method}={settings['beta']}" for method, settings in config["methods"].items()],
            comparison=input.comparison[:1],
            responses=[input.responses] if input.responses else [],
        ),
    shell:
        f"{RUN} workflow {SCRIPTS}/make_report.py"
        " --study {params.study:q}"
        " --policy-tables {input.policy_tables:q}"
        " --tables {input.tables:q}"
        " --figures {input.figures:q}"
        " --captions {params.captions:q}"
        " --labels {input.labels:q}"
        " --boundaries {input.boundaries:q}"
        " {params.given:q}"
        " --rules {input.rules:q}"
        " --cost {input.cost:q}"
        " {params.notes:q}"
        " --judgements {input.judgements:q}"
        " --locks {input.locks:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
