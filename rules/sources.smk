"""Sources of candidates that are decided while the study runs, or mixed, and what a policy took in the end.

Required: boundary scores or races, preferences of both sources, ledgers.
Output:   results/decisions/{initial}.json (what `auto` takes next), results/mixtures/{initial}/{mixture}.parquet,
          results/traces/{traced}.json (how a policy came about and what that took)
"""


checkpoint make_decision:
    input:
        measured=lambda w: (
            paths.race(w.initial) if config["decide_by"] == "race" else data_sets.boundaries(study, w.initial)
        ),
        program=program("make_decision", "workflow"),
    output:
        "results/decisions/{initial}.json",
    log:
        "results/logs/make_decision/{initial}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        by_hand=flags.by_hand,
        undecided=config["boundary"]["undecided"],
    shell:
        f"{RUN} workflow {SCRIPTS}/make_decision.py"
        f" --{config['decide_by']} {{input.measured:q}}"
        " --undecided {params.undecided}"
        " {params.by_hand}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule mix_preferences:
    input:
        on_policy=lambda w: study.preferences(study.asked_by(w), ON),
        off_policy=lambda w: study.preferences(study.asked_by(w), OFF),
        boundary=lambda w: paths.boundary(study.asked_by(w)) if data_of(w.mixture)[0] == BLEND else [],
        program=program("mix_preferences", "workflow"),
    output:
        "results/mixtures/{initial}/{mixture}.parquet",
    log:
        "results/logs/mix_preferences/{initial}/{mixture}.log",
    wildcard_constraints:
        mixture=rf"(?:{BLEND}|{MIX}){patterns.data}",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        share=lambda w, input: (
            ["--boundary", input.boundary]
            if input.boundary
            else ["--percent", data_of(w.mixture)[0].removeprefix("mix")]
        ),
        seed=study.seed_of,
    shell:
        f"{RUN} workflow {SCRIPTS}/mix_preferences.py"
        " --on-policy {input.on_policy:q}"
        " --off-policy {input.off_policy:q}"
        " {params.share:q}"
        " --seed {params.seed}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule trace_policy:
    input:
        files=lambda w: steps.files(study, w.traced),
        program=program("trace_policy", "workflow"),
    output:
        "results/traces/{traced}.json",
    log:
        "results/logs/trace_policy/{traced}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        steps=lambda w: json.dumps(steps.of(study, w.traced)),
        split=config["boundary"]["split"],
    shell:
        f"{RUN} workflow {SCRIPTS}/trace_policy.py"
        " --policy {wildcards.traced}"
        " --steps {params.steps:q}"
        " --split {params.split}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
