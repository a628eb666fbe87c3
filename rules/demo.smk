"""The demo's tiny world: facts, instructions, responders of several qualities, three small base models, and samples of
policies that its ranker learns from.

Required: `demo_world` in the configuration, which demo/config.yaml brings.
Output:   results/demo/world/*, results/models/{model}/manifest.json, results/demo/ranker/*,
          results/label_accuracy/{labelled}.json
"""

WORLD = "results/demo/world"
DEMO = config["demo_world"]
CHATS = expand(f"{WORLD}/chat_{{quality}}.jsonl", quality=["expert", "fair", "poor"])


rule make_demo_world:
    input:
        program=program("make_demo_world", "workflow"),
    output:
        CHATS,
        expand(f"{WORLD}/preferences_{{split}}.jsonl", split=["train", "test"]),
        expand(f"{WORLD}/ranker_{{part}}.jsonl", part=["train", "heldout", "texts", "prompts"]),
        expand(f"{WORLD}/evaluation{{variant}}.jsonl", variant=["", "_verbose", "_concise"]),
        f"{WORLD}/facts.json",
    log:
        "results/logs/make_demo_world.log",
    priority: BEFORE_VERDICT
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        sizes=" ".join(
            f"--{key.replace('_', '-')} {DEMO[key]}"
            for key in (
                "train_prompts",
                "test_prompts",
                "evaluation_prompts",
                "chat_conversations",
                "ranker_train_pairs",
                "ranker_heldout_pairs",
                "ranker_prompts",
            )
        ),
        seed=DEMO["seed"],
    shell:
        f"{RUN} workflow {SCRIPTS}/make_demo_world.py"
        " --seed {params.seed}"
        " {params.sizes}"
        f" --output-folder {WORLD}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_demo_model:
    input:
        tokenizer_data=CHATS,
        data=lambda w: f"{WORLD}/chat_{DEMO['models'][w.base]['data']}.jsonl",
        program=program("make_demo_model", "train"),
    output:
        "results/models/{base}/manifest.json",
    log:
        "results/logs/make_demo_model/{base}.log",
    benchmark:
        "results/benchmarks/make_demo_model/{base}.jsonl"
    wildcard_constraints:
        base=one_of(DEMO["models"]),
    priority: BEFORE_VERDICT
    conda:
        "../envs/train.yaml"
    params:
        architecture=lambda w: DEMO["models"][w.base]["architecture"],
        epochs=lambda w: DEMO["models"][w.base]["epochs"],
        learning_rate=lambda w: DEMO["models"][w.base]["learning_rate"],
        seed=DEMO["seed"],
    shell:
        f"{RUN} train {SCRIPTS}/make_demo_model.py"
        " --model {wildcards.base}"
        " --architecture {params.architecture}"
        " --tokenizer-data {input.tokenizer_data:q}"
        " --data {input.data:q}"
        " --epochs {params.epochs}"
        " --learning-rate {params.learning_rate}"
        " --seed {params.seed}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# The ranker learns from what policies write, too, on prompts that nothing else is done with.
rule sample_ranker_candidates:
    input:
        policy=lambda w: paths.policy(f"{w.base}/sft"),
        prompts=paths.dataset("demo-ranker-prompts", "train"),
        program=program("sample_candidates", SAMPLER),
    output:
        "results/demo/ranker/{base}/{temperature}.parquet",
    log:
        "results/logs/sample_ranker_candidates/{base}/{temperature}.log",
    benchmark:
        "results/benchmarks/sample_ranker_candidates/{base}/{temperature}.jsonl"
    wildcard_constraints:
        base=one_of(DEMO["ranker_samples"]["models"]),
        temperature=one_of(map(str, DEMO["ranker_samples"]["temperatures"])),
    priority: BEFORE_VERDICT
    conda:
        f"../envs/{SAMPLER}.yaml"
    params:
        sampling=lambda w: as_flags({**config["sampling"], "temperature": w.temperature}),
        dtype=study.dtype,
        seed=DEMO["seed"],
    shell:
        f"{RUN} {SAMPLER} {SCRIPTS}/sample_candidates.py"
        " --policy {input.policy:q}"
        " --prompts {input.prompts:q}"
        " {params.sampling}"
        " --dtype {params.dtype}"
        " --seed {params.seed}"
        " --name {wildcards.base}/sft/{wildcards.temperature}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule label_ranker_samples:
    input:
        candidates=expand(
            "results/demo/ranker/{base}/{temperature}.parquet",
            base=DEMO["ranker_samples"]["models"],
            temperature=DEMO["ranker_samples"]["temperatures"],
        ),
        facts=f"{WORLD}/facts.json",
        program=program("label_ranker_samples", "workflow"),
    output:
        train="results/demo/ranker/train.jsonl",
        heldout="results/demo/ranker/heldout.jsonl",
    log:
        "results/logs/label_ranker_samples.log",
    priority: BEFORE_VERDICT
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        seed=DEMO["seed"],
    shell:
        f"{RUN} workflow {SCRIPTS}/label_ranker_samples.py"
        " --candidates {input.candidates:q}"
        " --facts {input.facts:q}"
        " --seed {params.seed}"
        " --train {output.train:q}"
        " --heldout {output.heldout:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule measure_label_accuracy:
    input:
        preferences="results/preferences/{labelled}/train.parquet",
        facts=f"{WORLD}/facts.json",
        program=program("measure_label_accuracy", "workflow"),
    output:
        "results/label_accuracy/{labelled}.json",
    log:
        "results/logs/measure_label_accuracy/{labelled}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        f"{RUN} workflow {SCRIPTS}/measure_label_accuracy.py"
        " --preferences {input.preferences:q}"
        " --facts {input.facts:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
