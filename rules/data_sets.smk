"""Which of several data sets come first, beside the policy's own samples.

Required: `other_data`, boundary scores against each data set; audits where the report shows them.
Output:   results/tables/data_sets.{csv,md,json}, results/figures/data_sets.{svg,png}
"""

if config["other_data"]:

    rule make_data_sets:
        input:
            boundaries=[paths.boundary(policy) for policy in contents.compared_for_report(study)],
            audits=audits.for_report(study),
            program=program("make_data_sets", "workflow"),
        output:
            csv=report("results/tables/data_sets.csv", category="Tables", labels={"table": "Data sets"}),
            markdown="results/tables/data_sets.md",
            parts="results/tables/data_sets.json",
            svg="results/figures/data_sets.svg",
            png="results/figures/data_sets.png",
        log:
            "results/logs/make_data_sets.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            confidence=config["boundary"]["confidence"],
            audits=lambda w, input: given(audits=input.audits),
        shell:
            f"{RUN} workflow {SCRIPTS}/make_data_sets.py"
            " --boundaries {input.boundaries:q}"
            " {params.audits:q}"
            " --confidence {params.confidence}"
            " --csv {output.csv:q} --svg {output.svg:q} --png {output.png:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
