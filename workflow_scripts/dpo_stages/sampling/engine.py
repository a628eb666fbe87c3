"""vLLM's surroundings: what a process has to set before it is imported, and how such a process ends."""

import functools
import logging
import os
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version

from dpo_stages.core.errors import BadInput
from dpo_stages.core.libraries import end_now


def gpus_for(heads: int) -> int:
    """Number of the visible GPUs, which share a model's attention heads.

    Raises:
        BadInput: there is none, or it does not divide the heads.
    """
    import torch

    gpus = torch.cuda.device_count()
    if not gpus:
        raise BadInput("this environment's vLLM needs an NVIDIA GPU and none is visible; use the environment vllm-cpu")
    if heads % gpus:
        raise BadInput(
            f"the model's {heads} attention heads cannot be shared by {gpus} GPUs; "
            "set CUDA_VISIBLE_DEVICES to a number of GPUs that divides them"
        )
    return gpus


def on_cpu() -> bool:
    """Whether the installed vLLM is the build for CPUs, whose distribution has a name of its own."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        return True


def prepare_environment() -> None:
    """Set what vLLM and PyTorch read from the environment when they are imported; what the user set stays."""
    settings = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    if on_cpu():
        _scratch()
        settings = {
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_LOGGING_LEVEL": "ERROR",  # its warnings are about what a CPU lacks
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process: a second one would start as slowly as the first
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # OMP_NUM_THREADS decides; jobs side by side must not pin one core
            "OMP_WAIT_POLICY": "PASSIVE",
            "TORCH_CPP_LOG_LEVEL": "ERROR",
        }
        warnings.filterwarnings("ignore", category=FutureWarning)
        logging.getLogger("torch._library.triton").setLevel(logging.ERROR)  # there is no Triton, nor need of it
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory:
    """A folder for the temporary files of this process, of which vLLM and PyTorch would leave some behind."""
    folder = tempfile.TemporaryDirectory(prefix="vllm-", ignore_cleanup_errors=True)
    tempfile.tempdir = folder.name
    return folder


def end_process() -> None:
    """End the program at once where the engine ran inside it; to be called when everything is written.

    Taking a million objects of an idle engine apart takes the interpreter seconds, which no one has use for.
    """
    if on_cpu():
        _scratch().cleanup()
        end_now()
