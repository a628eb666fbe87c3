"""Audits of preference sources before any training: are their labels right by a yardstick that did not label, or by people?

Required: labelled pairs, the yardstick; filled sheets of votes in its place; the initial policy.
Output:   results/audits/{pairs/{yardstick}/{labelled},chosen/{yardstick}/{labelled}/against/{against},votes/{labelled}}.parquet,
          results/audits/likelihoods/{initial}.parquet, results/audits/sheets/{labelled}.csv, results/audits/{initial}.{json,md}
"""

# One draw for all sources and policies, so that they are asked about the same prompts.
DRAWN = f"--pairs {config['audit']['pairs']} --seed {config['seeds'][0]}"


rule write_vote_sheet:
    input:
        preferences="results/preferences/{labelled}/train.parquet",
        program=program("write_vote_sheet", "workflow"),
    output:
        "results/audits/sheets/{labelled}.csv",
    log:
        "results/logs/write_vote_sheet/{labelled}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        drawn=DRAWN,
        thoughts=config["thoughts"],
    shell:
        f"{RUN} workflow {SCRIPTS}/write_vote_sheet.py"
        " --preferences {input.preferences:q}"
        " {params.drawn}"
        " --thoughts {params.thoughts}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule read_votes:
    input:
        votes=lambda w: there(audits.votes(study)[w.labelled]),
        preferences="results/preferences/{labelled}/train.parquet",
        program=program("read_votes", "workflow"),
    output:
        "results/audits/votes/{labelled}.parquet",
    log:
        "results/logs/read_votes/{labelled}.log",
    wildcard_constraints:
        labelled=one_of(audits.votes(study)),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        drawn=DRAWN,
        thoughts=config["thoughts"],
    shell:
        f"{RUN} workflow {SCRIPTS}/read_votes.py"
        " --votes {input.votes:q}"
        " --preferences {input.preferences:q}"
        " {params.drawn}"
        " --thoughts {params.thoughts}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


if YARDSTICK:

    rule ask_yardstick:
        input:
            preferences="results/preferences/{labelled}/train.parquet",
            preference_model=YARDSTICK.manifest,
            program=program("ask_yardstick", YARDSTICK.env, YARDSTICK.without),
            judge=YARDSTICK.files,
        output:
            "results/audits/pairs/{yardstick}/{labelled}.parquet",
        log:
            "results/logs/ask_yardstick/{yardstick}/{labelled}.log",
        benchmark:
            "results/benchmarks/ask_yardstick/{yardstick}/{labelled}.jsonl"
        wildcard_constraints:
            yardstick=one_of([YARDSTICK.name]),
        localrule: bool(YARDSTICK.judge)  # an API is asked from where the internet is
        conda:
            f"../envs/{YARDSTICK.env}.yaml"
        threads: needs.threads_to_ask(YARDSTICK)
        resources:
            gpu=0 if YARDSTICK.judge else needs.gpus("labelling"),
            mem_mb=needs.labelling_memory,
            cents=needs.preference_cents(needs.audited_pairs),
            seconds=needs.expected(needs.preference_seconds(needs.audited_pairs)),
            runtime=needs.limit(needs.preference_seconds(needs.audited_pairs)),
        params:
            preference_model=flags.preference_model(YARDSTICK.name),
            drawn=DRAWN,
            against=[],
            cache=YARDSTICK.cache("audits", "pairs/{yardstick}/{labelled}"),
        shell:
            f"{RUN} {YARDSTICK.env} {SCRIPTS}/ask_yardstick.py"
            " --preferences {input.preferences:q}"
            " {params.against:q}"
            " {params.drawn}"
            " --preference-model {input.preference_model:q}"
            " {params.preference_model}"
            "{params.cache}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    use rule ask_yardstick as compare_chosen with:
        input:
            preferences="results/preferences/{labelled}/train.parquet",
            against="results/preferences/{against}/train.parquet",
            preference_model=YARDSTICK.manifest,
            program=program("ask_yardstick", YARDSTICK.env, YARDSTICK.without),
            judge=YARDSTICK.files,
        output:
            "results/audits/chosen/{yardstick}/{labelled}/against/{against}.parquet",
        log:
            "results/logs/compare_chosen/{yardstick}/{labelled}/against/{against}.log",
        benchmark:
            "results/benchmarks/compare_chosen/{yardstick}/{labelled}/against/{against}.jsonl"
        params:
            preference_model=flags.preference_model(YARDSTICK.name),
            drawn=DRAWN,
            against=lambda w, input: ["--against", input.against],
            cache=YARDSTICK.cache("audits", "chosen/{yardstick}/{labelled}/against/{against}"),

    # Not the reference log-probabilities that training needs: those are of all pairs, hours on a GPU that an audit spares.
    rule compute_pair_likelihoods:
        input:
            policy=lambda w: paths.policy(w.initial),
            preferences=lambda w: audits.preferences(study, w.initial),
            program=program("compute_pair_likelihoods", "train"),
        output:
            "results/audits/likelihoods/{initial}.parquet",
        log:
            "results/logs/compute_pair_likelihoods/{initial}.log",
        benchmark:
            "results/benchmarks/compute_pair_likelihoods/{initial}.jsonl"
        wildcard_constraints:
            initial=patterns.measured,
        conda:
            "../envs/train.yaml"
        threads: needs.threads
        resources:
            gpu=needs.gpus("sampling"),
            mem_mb=needs.inference_memory,
            seconds=needs.expected(needs.audit_seconds),
            runtime=needs.limit(needs.audit_seconds),
        params:
            sources=lambda w: [*audits.sources(study, w.initial)],
            drawn=DRAWN,
            scoring=flags.scoring(),
        shell:
            f"{RUN} train {SCRIPTS}/compute_pair_likelihoods.py"
            " --policy {input.policy:q}"
            " --sources {params.sources:q}"
            " --preferences {input.preferences:q}"
            " {params.drawn}"
            " {params.scoring}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    rule audit_sources:
        input:
            preferences=lambda w: audits.preferences(study, w.initial),
            answers=lambda w: [*audits.answers(study, w.initial).values()],
            chosen=lambda w: [*audits.chosen(study, w.initial).values()],
            likelihoods="results/audits/likelihoods/{initial}.parquet",
            program=program("audit_sources", "workflow"),
        output:
            json="results/audits/{initial}.json",
            markdown="results/audits/{initial}.md",
        log:
            "results/logs/audit_sources/{initial}.log",
        wildcard_constraints:
            initial=patterns.measured,
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            sources=lambda w: audits.words(audits.sources(study, w.initial)),
            asked=lambda w: given(
                answers=audits.words(audits.answers(study, w.initial)),
                chosen=audits.words(audits.chosen(study, w.initial)),
            ),
            preference_model=config["preference_model"],
            yardstick=YARDSTICK.name,
            drawn=DRAWN,
            confidence=config["boundary"]["confidence"],
        shell:
            f"{RUN} workflow {SCRIPTS}/audit_sources.py"
            " --initial {wildcards.initial}"
            " --sources {params.sources:q}"
            " --preferences {input.preferences:q}"
            " {params.asked:q}"
            " --likelihoods {input.likelihoods:q}"
            " --preference-model {params.preference_model}"
            " --yardstick {params.yardstick}"
            " {params.drawn}"
            " --confidence {params.confidence}"
            " --output {output.json:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
