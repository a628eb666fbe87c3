"""Pairs that are chosen of more than two candidates of a prompt, or of own and off-policy candidates together.

Required: candidates, the preference model where it labels.
Output:   results/scores/{labelled}/{split}.parquet and of it results/preferences/{labelled}/{split}.parquet;
          results/scores/{initial}/pooled.parquet and of it results/mixtures/{initial}/{pool,pick}.parquet
"""


rule score_candidates:
    input:
        candidates=lambda w: study.candidates(w.labelled, w.split),
        preference_model=LABELLER.manifest,
        program=program("score_candidates", LABELLER.env, LABELLER.without),
        judge=LABELLER.files,
    output:
        shards.output("scores", "{labelled}/{split}.parquet"),
    log:
        shards.log("scores", "results/logs/score_candidates/{labelled}/{split}.log"),
    benchmark:
        shards.log("scores", "results/benchmarks/score_candidates/{labelled}/{split}.jsonl")
    localrule: bool(study.labelling_judge)  # an API is asked from where the internet is
    conda:
        f"../envs/{LABELLER.env}.yaml"
    threads: needs.threads_to_ask(LABELLER)
    resources:
        gpu=0 if study.labelling_judge else needs.gpus("labelling"),
        mem_mb=needs.labelling_memory,
        cents=needs.preference_cents(needs.labelled_pairs),
        seconds=needs.expected(needs.preference_seconds(needs.labelled_pairs)),
        runtime=needs.limit(needs.preference_seconds(needs.labelled_pairs)),
    params:
        preference_model=flags.preference_model(config["preference_model"]),
    shell:
        f"{RUN} {LABELLER.env} {SCRIPTS}/score_candidates.py"
        " --candidates {input.candidates:q}"
        " --preference-model {input.preference_model:q}"
        " {params.preference_model}"
        f"{flags.judge_cache('scores', '{wildcards.labelled}/{wildcards.split}')}"
        f"{flags.shard('scores')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


use rule score_candidates as score_pooled_candidates with:
    input:
        candidates=lambda w: [study.candidates(w.labelled, "train"), study.off_policy("train", w.labelled)],
        preference_model=LABELLER.manifest,
        program=program("score_candidates", LABELLER.env, LABELLER.without),
        judge=LABELLER.files,
    wildcard_constraints:
        labelled=patterns.measured,
        split=paths.POOLED,


if study.grouped:

    rule pair_candidates:
        input:
            candidates=lambda w: study.candidates(w.labelled, w.split),
            scores=lambda w: [] if own_labels.stand(study, w.labelled) else paths.scores(w.labelled, w.split),
            program=program("pair_candidates", "workflow"),
        output:
            "results/preferences/{labelled}/{split}.parquet",
        log:
            "results/logs/pair_candidates/{labelled}/{split}.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            scores=lambda w, input: given(scores=[input.scores] if input.scores else []),
            pairing=flags.pairing,
        shell:
            f"{RUN} workflow {SCRIPTS}/pair_candidates.py"
            " --candidates {input.candidates:q}"
            " {params.scores:q}"
            " {params.pairing}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule pair_pooled_candidates:
    input:
        own=lambda w: study.candidates(study.asked_by(w), "train"),
        off_policy=lambda w: study.off_policy("train", study.asked_by(w)),
        scores=lambda w: paths.scores(study.asked_by(w), paths.POOLED),
        program=program("pair_candidates", "workflow"),
    output:
        "results/mixtures/{initial}/{mixture}.parquet",
    log:
        "results/logs/pair_candidates/{initial}/{mixture}.log",
    wildcard_constraints:
        mixture=rf"(?:{POOL}|{PICK}){patterns.data}",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        pairing=flags.pooled_pairing,
    shell:
        f"{RUN} workflow {SCRIPTS}/pair_candidates.py"
        " --candidates {input.own:q} {input.off_policy:q}"
        " --scores {input.scores:q}"
        " {params.pairing}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
