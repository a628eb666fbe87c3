"""A policy of which an adapter alone is kept, for environments that train none."""

import json
import os
import shutil
from pathlib import Path

from dpo_stages.core.files import sha256
from dpo_stages.core.manifests import write_manifest


def keep_adapter(policy: Path, folder: Path) -> Path:
    """Write a policy that is another one with an adapter of zeros, so that the same weights come of it; returns its manifest."""
    import torch
    from safetensors.torch import save_file

    shutil.copytree(policy.parent, folder, ignore=shutil.ignore_patterns("manifest*", "model*.safetensors"))
    (folder / "adapter").mkdir()
    (folder / "adapter/adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 4}))
    layer, width = "base_model.model.model.layers.0.mlp.gate_proj", json.loads((folder / "config.json").read_text())
    sizes = {"A": (2, width["hidden_size"]), "B": (width["intermediate_size"], 2)}
    matrices = {f"{layer}.lora_{name}.weight": torch.zeros(size) for name, size in sizes.items()}
    save_file(matrices, folder / "adapter/adapter_model.safetensors")
    beside = {"base": "tiny", "initial": os.path.relpath(policy.parent, folder), "manifest": sha256(policy)}
    weights = {"model.safetensors": sha256(policy.parent / "model.safetensors")}
    write_manifest(folder, {"policy": "tiny/dpo/off", "beside": beside}, weights)
    return folder / "manifest.json"
