"""Run a program sharded over processes on CPU cores: `torchrun … sharded_on_cpu.py FSDP.yaml PROGRAM ARGUMENT …`.

accelerate shards on GPUs only, though PyTorch can on CPUs. This sets what `accelerate launch` would set from its
configuration file and makes accelerate believe that the processes are such as can be sharded.
"""

import os
import runpy
import sys
from pathlib import Path

import yaml

configuration, program = sys.argv[1:3]
sys.argv = sys.argv[2:]
sys.path.insert(0, str(Path(program).parent))
for key, value in yaml.safe_load(Path(configuration).read_text(encoding="utf-8"))["fsdp_config"].items():
    os.environ[key.upper()] = str(value).lower() if isinstance(value, bool) else str(value)
os.environ["ACCELERATE_USE_FSDP"] = "true"

import accelerate.state  # noqa: E402
from accelerate.utils import DistributedType  # noqa: E402
from transformers import Trainer  # noqa: E402

State = accelerate.state.AcceleratorState
set_up, train = State.__init__, Trainer.train


def set_up_with_plugin(self, *args, **kwargs):
    set_up(self, *args, **kwargs)
    if kwargs.get("fsdp_plugin") is not None:
        self.fsdp_plugin = kwargs["fsdp_plugin"]
        if self.mixed_precision != "no":
            self.fsdp_plugin.set_mixed_precision(self.mixed_precision)


def train_and_look(self, *args, **kwargs):
    result = train(self, *args, **kwargs)
    kinds = {type(parameter).__name__ for parameter in self.model_wrapped.parameters()}
    sys.stdout.write(f"parameters: {kinds}\n")  # in one piece: the processes share the stream
    return result


State.__init__ = set_up_with_plugin
State.distributed_type = property(lambda self: DistributedType.FSDP, lambda self, value: None)
Trainer.train = train_and_look
runpy.run_path(program, run_name="__main__")
