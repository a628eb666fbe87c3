"""Races: which candidate source to train on next, by the beginnings of the trainings themselves.

Required: an initial policy, preferences and reference log-probabilities of each source, prompts of the split `test`, a yardstick.
Output:   results/races/{initial}.{json,md}; results/races/looks/{initial}/{share}.{parquet,json} after each share of an epoch
"""

if YARDSTICK:

    # Beside the preference data, of all data sets alike; the arms of every race answer them.
    rule draw_race_prompts:
        input:
            prompts=[paths.dataset(data, "test") for data in data_sets.names(study)],
            program=program("draw_race_prompts", "workflow"),
        output:
            RACE_PROMPTS,
        log:
            "results/logs/draw_race_prompts.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            prompts=config["race"]["prompts"],
            seed=config["seeds"][0],
        shell:
            f"{RUN} workflow {SCRIPTS}/draw_race_prompts.py"
            " --prompts {input.prompts:q}"
            " --number {params.prompts}"
            " --seed {params.seed}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    rule train_arm:
        input:
            initial=lambda w: paths.policy(study.named_by(w).initial),
            preferences=lambda w: study.preferences(study.named_by(w).initial, study.named_by(w).source),
            reference_logps=lambda w: paths.reference_logps(study.named_by(w).initial, study.named_by(w).source),
            program=program("train_policy", "train"),
        output:
            temp(directory("results/races/arms/{model}/{method}/{history}/{share}")),
        log:
            "results/logs/train_arm/{model}/{method}/{history}/{share}.log",
        benchmark:
            "results/benchmarks/train_arm/{model}/{method}/{history}/{share}.jsonl"
        wildcard_constraints:
            history=patterns.racing,
        conda:
            "../envs/train.yaml"
        threads: needs.threads
        resources:
            gpu=needs.gpus("training"),
            mem_mb=needs.training_memory,
            checkpoint_minutes=config["resources"]["checkpoint_minutes"],
            report_to=config["report_to"],
            seconds=needs.expected(needs.arm_seconds(races)),
            runtime=needs.limit(needs.arm_seconds(races)),
            disk_mb=needs.checkpoint_size,
            checkpoint_mb=needs.resumable_size,
        params:
            loss=flags.loss,
            optimisation=lambda w: flags.optimisation(config["methods"][w.method]),
            max_length=config["max_length"],
            dtype=study.dtype,
            seed=study.seed_of,
        shell:
            TRAIN_POLICY
            + " --until {wildcards.share} --output {output:q}/manifest.json > {log:q} 2>&1 && tail -n 1 {log:q}"

    rule sample_arm:
        input:
            policy="results/races/arms/{model}/{method}/{history}/{share}",
            prompts=RACE_PROMPTS,
            trained_on=lambda w: trained_on("test", study.named_by(w).taught),
            program=program("sample_candidates", SAMPLER),
        output:
            "results/races/samples/{model}/{method}/{history}/{share}.parquet",
        log:
            "results/logs/sample_arm/{model}/{method}/{history}/{share}.log",
        benchmark:
            "results/benchmarks/sample_arm/{model}/{method}/{history}/{share}.jsonl"
        wildcard_constraints:
            history=patterns.racing,
        conda:
            f"../envs/{SAMPLER}.yaml"
        threads: needs.threads
        resources:
            gpu=needs.gpus("sampling"),
            mem_mb=needs.inference_memory,
            seconds=needs.expected(needs.race_sampling_seconds),
            runtime=needs.limit(needs.race_sampling_seconds),
        params:
            sampling=flags.sampling(),
            shared=flags.shared_prompts,
            dtype=study.dtype,
            seed=study.seed_of,
            name=lambda w: f"{study.named_by(w).initial.plain}/{w.method}",  # the same random numbers for every arm
        shell:
            f"{RUN} {SAMPLER} {SCRIPTS}/sample_candidates.py"
            " --policy {input.policy:q}/manifest.json --prompts {input.prompts:q}"
            " {params.sampling} {params.shared}"
            " --dtype {params.dtype} --seed {params.seed} --name {params.name}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    rule compare_racing_arms:
        input:
            samples=lambda w: [*races.samples(w.initial, w.share).values()],
            preference_model=YARDSTICK.manifest,
            program=program("compare_racing_arms", YARDSTICK.env, YARDSTICK.without),
            judge=YARDSTICK.files,
            length_control=(independence.length_control(study) or []) if YARDSTICK.judge else [],
        output:
            "results/races/looks/{initial}/{share}.parquet",
        log:
            "results/logs/compare_racing_arms/{initial}/{share}.log",
        benchmark:
            "results/benchmarks/compare_racing_arms/{initial}/{share}.jsonl"
        localrule: bool(YARDSTICK.judge)  # an API is asked from where the internet is
        conda:
            f"../envs/{YARDSTICK.env}.yaml"
        threads: needs.threads_to_ask(YARDSTICK)
        resources:
            gpu=0 if YARDSTICK.judge else needs.gpus("labelling"),
            mem_mb=needs.labelling_memory,
            cents=needs.preference_cents(needs.race_pairs, YARDSTICK.name),
            seconds=needs.expected(needs.preference_seconds(needs.race_pairs, YARDSTICK.name)),
            runtime=needs.limit(needs.preference_seconds(needs.race_pairs, YARDSTICK.name)),
        params:
            samples=lambda w: [f"{arm}={file}" for arm, file in races.samples(w.initial, w.share).items()],
            # Apart: Snakemake takes no notice of a change where inputs are named.
            until_decided=lambda w: flags.until_decided(w) if YARDSTICK.judge else [],
            length_control=flags.length_control,
            preference_model=flags.preference_model(YARDSTICK.name),
        shell:
            f"{RUN} {YARDSTICK.env} {SCRIPTS}/compare_racing_arms.py"
            " --samples {params.samples:q}"
            " --share {wildcards.share}"
            " {params.until_decided:q} {params.length_control:q}"
            " --preference-model {input.preference_model:q}"
            " {params.preference_model}"
            f"{YARDSTICK.cache('races', '{wildcards.initial}/{wildcards.share}')}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    # Who goes on is known only then.
    checkpoint decide_look:
        input:
            looks=lambda w: races.looks(w.initial, w.share),
            length_control=independence.length_control(study) or [],
            program=program("decide_race", "workflow"),
        output:
            "results/races/looks/{initial}/{share}.json",
        log:
            "results/logs/decide_look/{initial}/{share}.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            race=flags.race,
            length_control=flags.length_control,
        shell:
            f"{RUN} workflow {SCRIPTS}/decide_race.py"
            " --looks {input.looks:q}"
            " {params.race:q} {params.length_control:q}"
            " --policy {wildcards.initial}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    rule make_race:
        input:
            race=lambda w: races.last(w.initial),
            audits=lambda w: [f"results/audits/{policy}.json" for policy in study.asked(w.initial)],
            prompts=RACE_PROMPTS,
            held_out=held_out.results(study, [YARDSTICK.name]),
            program=program("make_race", "workflow"),
        output:
            json="results/races/{initial}.json",
            markdown="results/races/{initial}.md",
            svg="results/races/{initial}.svg",
        log:
            "results/logs/make_race/{initial}.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            undecided=config["boundary"]["undecided"],
            by_hand=flags.by_hand,
            yardstick=YARDSTICK.name,
            notes=lambda w, input: given(notes=independence.cautions_of_yardstick(study), held_out=input.held_out),
            checkpoints=lambda w: races.checkpoints(w.initial),
        shell:
            f"{RUN} workflow {SCRIPTS}/make_race.py"
            " --race {input.race:q}"
            " --audits {input.audits:q} --prompts {input.prompts:q}"
            " --undecided {params.undecided} {params.by_hand}"
            " --yardstick {params.yardstick}"
            " {params.notes:q}"
            " --checkpoints {params.checkpoints:q}"
            " --json {output.json:q} --markdown {output.markdown:q}"
            " --svg {output.svg:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
