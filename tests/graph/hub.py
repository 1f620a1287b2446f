"""Small networks of the architectures of ``transformers``, with random weights, as modules from one
tensor to logits."""

from __future__ import annotations

from typing import Any

import transformers
from torch import Tensor, nn


class Logits(nn.Module):
    """The logits of a model of ``transformers``; ``last`` takes those of the last token."""

    def __init__(self, model: nn.Module, *, last: bool = False, **options: Any) -> None:
        super().__init__()
        self.model, self.last, self.options = model, last, options

    def forward(self, x: Tensor) -> Tensor:
        logits = self.model(x, **self.options).logits
        return logits[:, -1] if self.last else logits


def bert() -> nn.Module:
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=16,
        num_labels=5,
    )
    return Logits(transformers.BertForSequenceClassification(config))


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(
        vocab_size=50,
        n_positions=16,
        n_embd=32,
        n_layer=2,
        n_head=4,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return Logits(transformers.GPT2LMHeadModel(config), last=True)


def vit() -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=16,
        patch_size=4,
        num_labels=5,
    )
    return Logits(transformers.ViTForImageClassification(config))


def convnext() -> nn.Module:
    config = transformers.ConvNextConfig(
        hidden_sizes=[16, 24], depths=[1, 2], num_stages=2, patch_size=4, num_labels=5
    )
    return Logits(transformers.ConvNextForImageClassification(config))


def swin() -> nn.Module:
    config = transformers.SwinConfig(
        image_size=16,
        patch_size=2,
        embed_dim=12,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
        num_labels=5,
    )
    return Logits(transformers.SwinForImageClassification(config))


def llama() -> nn.Module:
    """Rotary positions, gated feed-forward, root-mean-square normalisation, shared keys."""
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=40,
        max_position_embeddings=16,
    )
    return Logits(transformers.LlamaForCausalLM(config), last=True, use_cache=False)
