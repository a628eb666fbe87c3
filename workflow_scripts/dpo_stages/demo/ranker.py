"""A small PairRM with a tokenizer of its own: how it is made, and how it is saved in llm-blender's layout."""

import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_stages.core.files import write_json
from dpo_stages.core.libraries import importing_libraries, without_hub
from dpo_stages.preferences.pairrm.tokens import MARKERS, PairEncoder, candidate_text, source_text
from dpo_stages.preferences.votes import LabelledPair

without_hub()
with importing_libraries():
    import sentencepiece
    import torch
    from torch import nn
    from transformers import DebertaV2Config, DebertaV2Model, DebertaV2TokenizerFast

    from dpo_stages.preferences.pairrm.attention import MarkerEncoder

INITIAL_RANGE = 0.05
DISTANCE_BUCKETS = 32


@dataclass(frozen=True)
class RankerSettings:
    """Size and optimisation of a ranker; lengths are in tokens, the batch size in pairs."""

    layers: int
    hidden: int
    heads: int
    vocabulary: int
    source_length: int
    candidate_length: int
    learning_rate: float
    epochs: int
    batch_size: int
    seed: int
    pretraining_epochs: int = 0
    pretraining_learning_rate: float = 0.0


class Ranker(nn.Module):
    """PairRM's network. The names of its parameters are llm-blender's, in whose layout it is saved.

    Args:
        backbone: the DeBERTa.
        encoder: makes token sequences of pairs.
        tokenizer: the tokenizer, with llm-blender's markers.
    """

    def __init__(self, backbone: DebertaV2Model, encoder: PairEncoder, tokenizer: DebertaV2TokenizerFast) -> None:
        super().__init__()
        width = backbone.config.hidden_size
        self.pretrained_model = backbone
        self.head_layer = nn.Sequential(
            nn.Dropout(0.0), nn.Linear(2 * width, width), nn.Tanh(), nn.Dropout(0.0), nn.Linear(width, 1)
        )
        self.encoder, self.tokenizer = encoder, tokenizer
        self.markers = torch.tensor([encoder.source_id, encoder.left_id, encoder.right_id])
        self.hidden_states = MarkerEncoder(dict(backbone.named_parameters()), backbone.config.to_dict(), keep=False)

    def forward(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """Logits [rows]: score of the left candidate less that of the right one."""
        ids = [torch.tensor(row) for row in rows]
        positions = torch.stack([(row[:, None] == self.markers).int().argmax(dim=0) for row in ids])
        lengths = [len(row) for row in rows]
        source, left, right = self.hidden_states(torch.cat(ids), lengths, positions).unbind(dim=1)
        scores = self.head_layer(torch.stack([torch.cat([source, x], dim=-1) for x in (left, right)]))
        return (scores[0] - scores[1]).squeeze(-1)


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> DebertaV2TokenizerFast:
    """Train a byte-pair tokenizer on texts, with DeBERTa's special tokens at DeBERTa's places."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        character_coverage=1.0,
        max_sentence_length=1 << 20,
        num_threads=1,
        pad_id=0,
        pad_piece="[PAD]",
        bos_id=1,
        bos_piece="[CLS]",
        eos_id=2,
        eos_piece="[SEP]",
        unk_id=3,
        unk_piece="[UNK]",
        minloglevel=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spm.model"
        file.write_bytes(model.getvalue())
        tokenizer = DebertaV2TokenizerFast(vocab_file=str(file))
    tokenizer.spm_model = model.getvalue()
    return tokenizer


def new_ranker(
    pairs: Sequence[LabelledPair], conversations: Sequence[tuple[str, str]], settings: RankerSettings
) -> Ranker:
    """A ranker with random weights and a tokenizer trained on the texts of `pairs` and `conversations`."""
    texts = {
        text: None
        for labelled in pairs
        for text in (
            source_text(labelled.pair.prompt),
            candidate_text(labelled.pair.prompt, labelled.pair.response_1),
            candidate_text(labelled.pair.prompt, labelled.pair.response_2),
        )
    }
    texts |= {text: None for conversation in conversations for text in conversation}
    tokenizer = train_tokenizer(list(texts), settings.vocabulary)
    pieces = len(tokenizer)
    tokenizer.add_tokens(list(MARKERS))
    encoder = PairEncoder(
        tokenizer.backend_tokenizer, tokenizer.sep_token, settings.source_length, settings.candidate_length
    )
    torch.manual_seed(settings.seed)
    config = DebertaV2Config(
        vocab_size=pieces,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden,
        max_position_embeddings=512,
        position_buckets=DISTANCE_BUCKETS,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        type_vocab_size=0,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=INITIAL_RANGE,
    )
    backbone = DebertaV2Model(config)
    backbone.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return Ranker(backbone, encoder, tokenizer)


def save_ranker(ranker: Ranker, settings: RankerSettings, folder: str | os.PathLike) -> None:
    """Save in llm-blender's layout, as one folder that is its own base model and may be moved.

    `config.json` is both what llm-blender reads (without a model_name it takes the base model from this folder) and what
    Transformers reads.
    """
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True)
    ranker.tokenizer.save_pretrained(folder)
    (folder / "spm.model").write_bytes(ranker.tokenizer.spm_model)
    config = ranker.pretrained_model.config.to_dict()
    config.pop("transformers_version", None)
    layout = {
        "ranker_type": "pairranker",
        "source_maxlength": settings.source_length,
        "candidate_maxlength": settings.candidate_length,
        "n_tasks": 1,
    }
    write_json(folder / "config.json", {**config, **layout})
    weights = {name: value.contiguous() for name, value in ranker.state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
