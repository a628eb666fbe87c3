SHELL := bash
.DEFAULT_GOAL := help

# What `make demo` makes: any files or rules of the workflow. The tables among them are shown in the end.
TARGET ?= all
tables = $(if $(filter all,$(TARGET)),results/tables/table3.csv,$(filter results/tables/%.csv,$(TARGET)))

# Runs of each trained policy in `make demo`; as the configuration has it where none is given.
REPLICATES ?=

# One job of make for each suite of tests and the environment that it runs in; the longest first. Three run at once on two
# cores: that of SLURM waits for most of its time.
suites := end-to-end slurm workflow sampling training preferences evaluation capabilities
environment_of_training := train
environment_of_sampling := vllm-cpu
environment_of_preferences := pairrm
environment_of_evaluation := alpaca-eval
environment_of_capabilities := lm-eval
folders_of_workflow := core study data preflight boundary audit report demo studies

.PHONY: help demo test lint lock environments packages gpu-check clean environment-lm-eval

help: ## list what make can do
	@sed -nE 's/^([a-z%\/.-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 30

demo: environments ## run the whole study with tiny models on two cores (TARGET=FILES for less, REPLICATES=3 for more runs)
	envs/run workflow -m snakemake $(if $(REPLICATES),--config replicates=$(REPLICATES)) --profile demo $(TARGET)
	$(if $(tables),envs/run workflow workflow_scripts/show_results.py $(tables:.csv=.md))

test: environments ## check the style and run every test; all of them run even when one fails
	@$(MAKE) --no-print-directory --keep-going --jobs=3 --output-sync=target $(suites:%=test-%) lint

test-%: environments packages ## run one suite of tests: slurm, end-to-end, training, workflow, sampling, preferences, evaluation, capabilities
	OMP_NUM_THREADS=1 envs/run $(or $(environment_of_$*),workflow) -m pytest $(addprefix tests/,$(or $(folders_of_$*),$(subst -,_,$*)))

test-capabilities: environment-lm-eval

environment-lm-eval: # which the demo does without
	@envs/create lm-eval

lint: environments ## check the style of Python and Snakemake files
	@failed=0; check() { echo "$$*"; envs/run workflow -m "$$@" || failed=1; }; \
	check ruff check .; \
	check ruff format --check .; \
	check snakefmt --check Snakefile rules; \
	check snakemake --lint; \
	envs/run workflow tests/lint_imports.py || failed=1; \
	exit $$failed

gpu-check: ## run every GPU program on this machine's GPU and write what it took (PARTS="sft dpo", FOLDER=… for models and texts)
	@[[ -n "$${!DPO_STAGES_PYTHON*}" ]] || envs/create train pairrm vllm workflow alpaca-eval
	envs/run train benchmarks/gpu/check.py $(PARTS) $(if $(FOLDER),--folder $(FOLDER))

docs/configuration.md: rules/config.schema.yaml docs/configuration.py ## list all settings, from the schema
	envs/run workflow docs/configuration.py >$@

environments: ## make the environments under .venvs that the demo and the tests need
	@envs/create --demo

packages:
	@tests/install

lock: ## compile the locks and conda files of the environments from envs/*.in, keeping the pins that still fit
	envs/lock

clean: ## remove what tests and linters left behind; results and environments stay
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venvs -prune -o -path ./results -prune -o -name __pycache__ -type d -exec rm -rf {} +
