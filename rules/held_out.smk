"""How often preference models are right on held-out votes, beside whoever takes the longer response, or the first one.

Required: preference models whose `held_out` names votes.
Output:   results/held_out/{voted}.json
"""

VOTED = {name: Asked.of(study, name) for name in config["preference_models"] if held_out.votes(study, name)}
VOTED_NETWORKS, VOTED_JUDGES = (
    [name for name, asked in VOTED.items() if bool(asked.judge) == judges_alone] for judges_alone in (False, True)
)
MEASURE_PREFERENCE_MODEL = (
    f" {SCRIPTS}/measure_preference_model.py"
    " --votes {input.votes:q}"
    " --preference-model {input.preference_model:q}"
    " {params.preference_model}"
    " --name {wildcards.voted}"
    " --confidence {params.confidence}"
)


rule measure_preference_model:
    input:
        votes=lambda w: there(held_out.votes(study, w.voted)),
        preference_model="results/preference_models/{voted}/manifest.json",
        program=program("measure_preference_model", "pairrm", without=JUDGES),
    output:
        "results/held_out/{voted}.json",
    log:
        "results/logs/measure_preference_model/{voted}.log",
    benchmark:
        "results/benchmarks/measure_preference_model/{voted}.jsonl"
    wildcard_constraints:
        voted=one_of(VOTED_NETWORKS),
    conda:
        "../envs/pairrm.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("labelling"),
        mem_mb=needs.labelling_memory,
        seconds=needs.expected(needs.preference_seconds(needs.voted_pairs)),
        runtime=needs.limit(needs.preference_seconds(needs.voted_pairs)),
    params:
        preference_model=lambda w: flags.preference_model(w.voted),
        confidence=config["boundary"]["confidence"],
    shell:
        f"{RUN} pairrm{MEASURE_PREFERENCE_MODEL}" " --output {output:q}" " > {log:q} 2>&1 && tail -n 1 {log:q}"


if VOTED_JUDGES:

    rule measure_judge:
        input:
            votes=lambda w: there(held_out.votes(study, w.voted)),
            preference_model="results/preference_models/{voted}/manifest.json",
            program=program("measure_preference_model", "alpaca-eval", without=NETWORKS),
            judge=lambda w: VOTED[w.voted].files,
        output:
            "results/held_out/{voted}.json",
        log:
            "results/logs/measure_judge/{voted}.log",
        benchmark:
            "results/benchmarks/measure_judge/{voted}.jsonl"
        wildcard_constraints:
            voted=one_of(VOTED_JUDGES),
        localrule: True  # an API is asked from where the internet is
        conda:
            "../envs/alpaca-eval.yaml"
        resources:
            mem_mb=needs.labelling_memory,
            cents=needs.preference_cents(needs.voted_pairs),
            seconds=needs.expected(needs.preference_seconds(needs.voted_pairs)),
            runtime=needs.limit(needs.preference_seconds(needs.voted_pairs)),
        params:
            preference_model=lambda w: flags.preference_model(w.voted),
            confidence=config["boundary"]["confidence"],
        shell:
            f"{RUN} alpaca-eval{MEASURE_PREFERENCE_MODEL}"
            f"{flags.cache('held_out', '{wildcards.voted}')}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
