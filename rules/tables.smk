"""Tables of policies: win rates, gains and which arm is better, beside the boundary scores.

Required: win rates, comparisons of arms, boundary scores, traces; capabilities, second opinions and held-out votes where there are any.
Output:   results/tables/{table}.{csv,md,json}; results/tables/{table}_policies.txt where `auto` decides
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
        capabilities=lambda w: capabilities.of_table(study, w.table),
        chosen_capabilities=lambda w: capabilities.of_table(study, w.table, chosen=True),
        second_opinions=lambda w: opinions.of_table(study, w.table),
        chosen_second_opinions=lambda w: opinions.of_table(study, w.table, chosen=True),
        traces=lambda w: [f"results/traces/{policy}.json" for policy in study.traced_policies(w.table)],
        length_control=independence.length_control(study) or [],
        held_out=HELD_OUT,
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
            capabilities=[*input.capabilities, *input.chosen_capabilities],
            second_opinions=[*input.second_opinions, *input.chosen_second_opinions],
            held_out=input.held_out,
            length_control=[input.length_control] if input.length_control else [],
            notes=[*plain_win_rates.why(study), *independence.cautions(study)],
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
