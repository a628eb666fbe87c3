"""Two tiny Llamas with a chat template: one with random weights, one whose every response is known in advance."""

import pytest

BEGIN, END, END_OF_TURN, STOP = "<s>", "</s>", "<|end|>", "[STOP]"
# The beginning is in the template and in the tokenizer's post-processor as well: whoever lets both add it doubles it.
TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTEXT = 128
QUESTIONS = [f"tell me about the {adjective} fox" for adjective in ("quick", "brown", "lazy", "red", "old")]


def make_tokenizer():
    """A byte-level BPE; `[STOP]` is a token of its own, and no special one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [BEGIN, END, END_OF_TURN, "<|system|>", "<|user|>", "<|assistant|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=380, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([*QUESTIONS, "the fox jumps over the lazy dog, again and again."] * 9, trainer)
    tokenizer.add_tokens([STOP])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        extra_special_tokens=[END_OF_TURN, "<|system|>", "<|user|>", "<|assistant|>"],
        chat_template=TEMPLATE,
    )


def make_model(tokenizer, hidden_size, layers, context=CONTEXT):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 32,
        max_position_embeddings=context,
        initializer_range=0.3,  # wide enough for distributions that are far from uniform
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def write_transitions(model, transitions):
    """Make a model without memory: `transitions[token][next]` are its probabilities.

    Each token is a direction of its own, for which the model must be at least as wide as the vocabulary is large. The
    layers do nothing, and the head holds the log-probabilities.
    """
    import torch

    size = model.config.hidden_size
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.model.norm.weight.fill_(1)
        model.model.embed_tokens.weight.copy_(torch.eye(model.config.vocab_size, size))
        model.lm_head.weight.fill_(-1)
        for source, after in transitions.items():
            for target, share in after.items():
                # The norm makes sqrt(hidden size) of a one
                model.lm_head.weight[target, source] = torch.tensor(share).log() / size**0.5


def save_policy(folder, tokenizer, model):
    from dpo_stages.core.manifests import write_manifest

    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_manifest(folder, {"policy": "tiny/sft"})
    return folder / "manifest.json"


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="session")
def policy(tmp_path_factory, tokenizer):
    """A policy with random weights: its manifest."""
    return save_policy(tmp_path_factory.mktemp("policy") / "checkpoint", tokenizer, make_model(tokenizer, 64, 2))


@pytest.fixture(scope="session")
def scripted_policy(tmp_path_factory, tokenizer):
    """A policy without memory: after the assistant's tag or an `a` comes an `a` or one of three ends."""
    model = make_model(tokenizer, 384, 1)
    ids = dict(
        zip(("a", END, END_OF_TURN, STOP), tokenizer.convert_tokens_to_ids(["a", END, END_OF_TURN, STOP]), strict=True)
    )
    after = {ids["a"]: 0.7, ids[END]: 0.1, ids[END_OF_TURN]: 0.1, ids[STOP]: 0.1}
    write_transitions(model, {tokenizer.convert_tokens_to_ids("<|assistant|>"): after, ids["a"]: after})
    model.generation_config.eos_token_id = [ids[END], ids[STOP]]
    return save_policy(tmp_path_factory.mktemp("scripted") / "checkpoint", tokenizer, model)
