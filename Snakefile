"""Is on-policy data always the best choice for DPO-based alignment?

snakemake --profile demo  results/tables/table3.csv      a laptop, in minutes
snakemake --profile slurm results/tables/table3.csv      the paper's study on a cluster
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/shards.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/candidates.smk"
include: "rules/boundary.smk"
include: "rules/evaluation.smk"
include: "rules/tables.smk"
include: "rules/analysis.smk"
include: "rules/quality.smk"
include: "rules/plan.smk"
include: "rules/report.smk"


if "demo_world" in config:

    include: "rules/demo.smk"


rule all:
    default_target: True
    input:
        "results/report.html",  # and with it every table, and every figure as SVG
        expand("results/figures/{figure}.png", figure=REPORT_FIGURES),


onstart:
    # Snakemake 9 looks at the ready jobs again a second after each look, and once more for every job that has finished: in
    # a long run that takes a whole core. It does so for a limit on jobs started a second, which nothing here needs.
    workflow.scheduler.job_rate_limiter = None
    if workflow.is_main_process and (earlier := jobs_of_folder(Path.cwd())):
        print(
            "jobs of an earlier run are still in SLURM's queue and would write the same files; cancel them with "
            f"`scancel {' '.join(earlier)}`, then start again",
            file=sys.stderr,
        )
        sys.exit(2)
    if workflow.is_main_process and workflow.local_exec and not shutil.which("nvidia-smi"):
        needing = sorted({job.rule.name for job in workflow.dag.needrun_jobs() if job.resources.get("gpu")})
        if needing:
            print(
                f"{', '.join(needing)} need an NVIDIA GPU and this machine has none; "
                "run the small study with `--profile demo` or this one on a cluster with `--profile slurm`",
                file=sys.stderr,
            )
            sys.exit(2)
    if workflow.is_main_process:
        keeping = [
            job
            for job in workflow.dag.needrun_jobs()
            if job.rule.name in ("fetch_model", "train_sft", "train_policy")
        ]
        needed, free = sum(job.resources["disk_mb"] for job in keeping) / 1e3, shutil.disk_usage(".").free / 1e9
        if needed > free:
            print(
                f"{len(keeping)} models are to be kept, which takes about {needed:.0f} GB, and {free:.0f} GB are free here; "
                "make room, or ask for less (`results/plan.csv` says what takes how much)",
                file=sys.stderr,
            )
            sys.exit(2)
    if workflow.is_main_process:  # the resolved configuration, to be read by people; no rule reads it
        resolved_configuration = yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True)
        write_text("results/run_config.yaml", resolved_configuration)
