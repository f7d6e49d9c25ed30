"""A random OpenCLIP of a few thousand weights, written as OpenCLIP writes it: an independent network of the same names.

After mlfoundations/open_clip, src/open_clip/model.py (CLIP) and transformer.py (VisionTransformer, TextTransformer).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests import tiny_models
from tests.tiny_models import DIMENSION, LENGTH, PATCH, PROJECTED, SIZE

HEADS = 2


class QuickGELU(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(DIMENSION), nn.LayerNorm(DIMENSION)
        self.attn = nn.MultiheadAttention(DIMENSION, HEADS, batch_first=True)
        wide = 4 * DIMENSION
        layers = [("c_fc", nn.Linear(DIMENSION, wide)), ("gelu", activation()), ("c_proj", nn.Linear(wide, DIMENSION))]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        inner = self.ln_1(x)
        x = x + self.attn(inner, inner, inner, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList([Block(activation) for _ in range(2)])

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Visual(nn.Module):
    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, DIMENSION, PATCH, PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(DIMENSION))
        self.positional_embedding = nn.Parameter(torch.randn((SIZE // PATCH) ** 2 + 1, DIMENSION))
        self.ln_pre, self.ln_post = nn.LayerNorm(DIMENSION), nn.LayerNorm(DIMENSION)
        self.transformer = Blocks(activation)
        self.proj = nn.Parameter(torch.randn(DIMENSION, PROJECTED))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        seen: torch.Tensor = self.ln_post(self.transformer(self.ln_pre(x)))[:, 0] @ self.proj
        return seen


class OpenClip(nn.Module):
    def __init__(self, vocabulary: int, *, quick_gelu: bool) -> None:
        super().__init__()
        activation = QuickGELU if quick_gelu else nn.GELU
        self.visual = Visual(activation)
        self.transformer = Blocks(activation)
        self.token_embedding = nn.Embedding(vocabulary, DIMENSION)
        self.positional_embedding = nn.Parameter(torch.randn(LENGTH, DIMENSION))
        self.ln_final = nn.LayerNorm(DIMENSION)
        self.text_projection = nn.Parameter(torch.randn(DIMENSION, PROJECTED))
        self.logit_scale = nn.Parameter(torch.tensor(4.6))

    def encode_text(self, text: torch.Tensor) -> torch.Tensor:
        """Read token ids (B, 77), padded with 0."""
        mask = torch.full((LENGTH, LENGTH), float("-inf")).triu(1)
        x = self.ln_final(self.transformer(self.token_embedding(text) + self.positional_embedding, mask))
        read: torch.Tensor = x[torch.arange(len(x)), text.argmax(-1)] @ self.text_projection
        return read


def save(folder: Path, *, quick_gelu: bool = False, **preprocess: Any) -> OpenClip:
    """Save one as OpenCLIP's push_to_hf_hub lays it out, and return it."""
    tokens = tiny_models.clip_tokenizer(folder)
    torch.manual_seed(0)
    model = OpenClip(len(tokens), quick_gelu=quick_gelu).eval().requires_grad_(False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    both = {"layers": 2, "width": DIMENSION}
    shape = {
        "embed_dim": PROJECTED,
        "vision_cfg": {**both, "image_size": SIZE, "patch_size": PATCH, "head_width": DIMENSION // HEADS},
        "text_cfg": {**both, "context_length": LENGTH, "vocab_size": len(tokens), "heads": HEADS},
    }
    if quick_gelu:
        shape["quick_gelu"] = True
    said = {"model_cfg": shape, "preprocess_cfg": {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], **preprocess}}
    (folder / "open_clip_config.json").write_text(json.dumps(said))
    return model
