"""The demo's tiny world: facts, instructions, responders of several qualities, and three small base models.

Required: `demo_world` in the configuration, which demo/config.yaml brings.
Output:   results/demo/world/*, results/models/{model}/manifest.json
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
        expand(f"{WORLD}/ranker_{{split}}.jsonl", split=["train", "heldout"]),
        expand(f"{WORLD}/evaluation{{variant}}.jsonl", variant=["", "_verbose", "_concise"]),
        f"{WORLD}/facts.json",
    log:
        "results/logs/make_demo_world.log",
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
