"""Quality of candidates, Appendix C.5: one random candidate of a source against the chosen response of another.

Required: candidates of the one, preferences of the other; the rules of evaluation.smk judge them.
Output:   results/evaluations/quality/{origin}/against/{against}/*, results/tables/quality.{csv,md}
"""


rule draw_quality_pairs:
    input:
        candidates=lambda w: candidates(w.origin, "train"),
        preferences="results/preferences/{against}/train.parquet",
        program=program("draw_quality_pairs", "workflow"),
    output:
        instructions="results/evaluations/quality/{origin}/against/{against}/instructions.parquet",
        outputs="results/evaluations/quality/{origin}/against/{against}/model_outputs.json",
    log:
        "results/logs/draw_quality_pairs/{origin}/against/{against}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        prompts=config["quality"]["prompts"],
        seed=config["seeds"][0],
    shell:
        "envs/run workflow workflow_scripts/draw_quality_pairs.py"
        " --candidates {input.candidates:q}"
        " --preferences {input.preferences:q}"
        " --generator {wildcards.origin}"
        " --prompts {params.prompts}"
        " --seed {params.seed}"
        " --instructions {output.instructions:q}"
        " --output {output.outputs:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule make_quality_table:
    input:
        win_rates=[f"results/evaluations/{judged}/win_rate.json" for judged in QUALITY_PAIRS],
        program=program("make_quality_table", "workflow"),
        paper="workflow_scripts/paper_reference/quality.csv",
    output:
        csv=report("results/tables/quality.csv", category="Tables", labels={"table": "Quality of candidates"}),
        markdown="results/tables/quality.md",
    log:
        "results/logs/make_quality_table.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        pairs=[f"{pair['candidates']}={pair['against']}" for pair in config["quality"]["pairs"]],
        preference_data=config["preference_data"],
    shell:
        "envs/run workflow workflow_scripts/make_quality_table.py"
        " --pairs {params.pairs:q}"
        " --win-rates {input.win_rates:q}"
        " --preference-data {params.preference_data}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
