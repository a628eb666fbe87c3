"""Whether a decision holds on parts of the comparisons and under other preference models.

Required: comparisons; other preference models (`boundary.second_opinions`), which compare the same candidates.
Output:   results/second_opinions/{opinion}/{sampled}/{split}.parquet, results/second_opinions/{opinion}/{initial}.json,
          results/robustness/{initial}.json
"""

OPINIONS = {name: Asked.of(study, name) for name in opinions.asked(study)}
NETWORK_OPINIONS, JUDGE_OPINIONS = (
    [name for name, asked in OPINIONS.items() if bool(asked.judge) == judges_alone] for judges_alone in (False, True)
)
GIVE_OPINION = (
    f" {SCRIPTS}/compare_candidates.py"
    " --on-policy {input.on_policy:q}"
    " --off-policy {input.off_policy:q}"
    " --preference-model {input.preference_model:q}"
    " {params.preference_model}"
    f"{flags.shard('second_opinions')}"
)


rule make_second_opinion:
    input:
        on_policy=lambda w: study.candidates(w.sampled, w.split),
        off_policy=lambda w: study.off_policy(w.split, w.sampled),
        preference_model="results/preference_models/{opinion}/manifest.json",
        program=program("compare_candidates", "pairrm", without=JUDGES),
    output:
        shards.output("second_opinions", "{opinion}/{sampled}/{split}.parquet"),
    log:
        shards.log("second_opinions", "results/logs/make_second_opinion/{opinion}/{sampled}/{split}.log"),
    benchmark:
        shards.log("second_opinions", "results/benchmarks/make_second_opinion/{opinion}/{sampled}/{split}.jsonl")
    wildcard_constraints:
        opinion=one_of(NETWORK_OPINIONS),
    priority: VERDICT
    conda:
        "../envs/pairrm.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("labelling"),
        mem_mb=needs.labelling_memory,
        seconds=needs.expected(needs.preference_seconds(needs.compared_pairs)),
        runtime=needs.limit(needs.preference_seconds(needs.compared_pairs)),
    params:
        preference_model=lambda w: flags.preference_model(w.opinion),
    shell:
        f"{RUN} pairrm{GIVE_OPINION}" " --output {output:q}" " > {log:q} 2>&1 && tail -n 1 {log:q}"


if JUDGE_OPINIONS:

    rule ask_second_opinion:
        input:
            on_policy=lambda w: study.candidates(w.sampled, w.split),
            off_policy=lambda w: study.off_policy(w.split, w.sampled),
            preference_model="results/preference_models/{opinion}/manifest.json",
            program=program("compare_candidates", "alpaca-eval", without=NETWORKS),
            judge=lambda w: OPINIONS[w.opinion].files,
        output:
            shards.output("second_opinions", "{opinion}/{sampled}/{split}.parquet"),
        log:
            shards.log("second_opinions", "results/logs/ask_second_opinion/{opinion}/{sampled}/{split}.log"),
        benchmark:
            shards.log("second_opinions", "results/benchmarks/ask_second_opinion/{opinion}/{sampled}/{split}.jsonl")
        wildcard_constraints:
            opinion=one_of(JUDGE_OPINIONS),
        priority: VERDICT
        localrule: True  # an API is asked from where the internet is
        conda:
            "../envs/alpaca-eval.yaml"
        resources:
            mem_mb=needs.labelling_memory,
            cents=needs.preference_cents(needs.compared_pairs),
            seconds=needs.expected(needs.preference_seconds(needs.compared_pairs)),
            runtime=needs.limit(needs.preference_seconds(needs.compared_pairs)),
        params:
            preference_model=lambda w: flags.preference_model(w.opinion),
        shell:
            f"{RUN} alpaca-eval{GIVE_OPINION}"
            f"{flags.cache('second_opinions', '{wildcards.opinion}/{wildcards.sampled}/{wildcards.split}')}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule measure_second_opinion:
    input:
        comparisons=lambda w: opinions.comparisons(study, w.opinion, w.initial),
        held_out=lambda w: held_out.results(study, [w.opinion]),
        program=program("measure_boundary", "workflow"),
    output:
        json="results/second_opinions/{opinion}/{initial}.json",
        verdict="results/second_opinions/{opinion}/{initial}.md",
    log:
        "results/logs/measure_second_opinion/{opinion}/{initial}.log",
    wildcard_constraints:
        opinion=patterns.opinion,
        initial=patterns.measured,
    priority: VERDICT
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        confidence=data_sets.confidence(study),
        preference_model=lambda w: w.opinion,
        preference_data=lambda w: study.preference_data(w.initial),
        held_out=lambda w, input: given(held_out=input.held_out),
    shell:
        f"{MEASURE_BOUNDARY}" " {params.held_out:q} --output {output.json:q} > {log:q} 2>&1 && tail -n 1 {log:q}"


rule measure_robustness:
    input:
        comparisons=study.comparisons("{initial}"),
        second_opinions=lambda w: [opinions.comparisons(study, opinion, w.initial) for opinion in OPINIONS],
        program=program("measure_boundary", "workflow"),
    output:
        json="results/robustness/{initial}.json",
        verdict="results/robustness/{initial}.md",
    log:
        "results/logs/measure_robustness/{initial}.log",
    wildcard_constraints:
        initial=patterns.measured,
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        confidence=data_sets.confidence(study),
        preference_model=config["preference_model"],
        preference_data=lambda w: study.preference_data(w.initial),
        seed=study.seed_of,
        second_opinions=lambda w, input: given(
            second_opinion=map("=".join, zip(OPINIONS, input.second_opinions, strict=True))
        ),
    shell:
        f"{MEASURE_BOUNDARY}"
        " --robustness"
        " {params.second_opinions:q}"
        " --seed {params.seed}"
        " --output {output.json:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
