"""CLIP, as OpenCLIP saves it: the same network under other names. Each weight is given its name in transformers' CLIP.

Names: mlfoundations/open_clip, src/open_clip/transformer.py (VisionTransformer, ResidualAttentionBlock) and model.py
(CLIP). `in_proj` is query, key and value one below the other; projections are stored transposed.
"""

from __future__ import annotations

import re
from typing import Any

from imgsearch_workers.model import device as devices  # before torch: it sets how torch's threads wait
from imgsearch_workers.model.clip import ClipEncoder
from imgsearch_workers.model.open_clip_config import towers
from imgsearch_workers.model.tokenizer import CausalTokenizer, Tokens

import torch  # isort: skip
import transformers  # isort: skip
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

_BLOCK = re.compile(r"(?:visual\.)?transformer\.resblocks\.(?P<layer>\d+)\.(?P<part>.+)")
_PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_IMAGE = {
    "visual.class_embedding": "embeddings.class_embedding",
    "visual.positional_embedding": "embeddings.position_embedding.weight",
    "visual.conv1.weight": "embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "pre_layrnorm.weight",
    "visual.ln_pre.bias": "pre_layrnorm.bias",
    "visual.ln_post.weight": "post_layernorm.weight",
    "visual.ln_post.bias": "post_layernorm.bias",
}
_TEXT = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_NEITHER = ("logit_scale", "logit_bias", "attn_mask")


class OpenClipEncoder(ClipEncoder):
    """A loaded OpenCLIP model, run by transformers' CLIP."""

    def _dimension(self) -> int:
        stated: int = self.checkpoint.config["model_cfg"]["embed_dim"]
        return stated

    def _image_tower(self) -> Any:
        vision, _ = towers(self.checkpoint.config)
        model = self._empty(transformers.CLIPVisionModelWithProjection, transformers.CLIPVisionConfig, vision)
        return self._filled(model, {"visual.proj": "visual_projection.weight"}, _IMAGE, "vision_model.")

    def _text_tower(self) -> tuple[Tokens, Any]:
        _, text = towers(self.checkpoint.config)
        tokens = CausalTokenizer(self.checkpoint, length=text["max_position_embeddings"], known=text["vocab_size"])
        tokens.expect_end(text["eos_token_id"])
        model = self._empty(transformers.CLIPTextModelWithProjection, transformers.CLIPTextConfig, text)
        return tokens, self._filled(model, {"text_projection": "text_projection.weight"}, _TEXT, "text_model.")

    def _empty(self, kind: Any, config: Any, values: dict[str, Any]) -> Any:
        try:
            return kind._from_config(  # noqa: SLF001 - AutoModel.from_config is public, and calls this
                config(**values), dtype=self.dtype, attn_implementation="sdpa"
            )
        except (TypeError, ValueError, ZeroDivisionError, StrictDataclassError) as error:
            self.checkpoint.refuse(f"has an impossible shape ({devices.first_line(error)}); download it again", error)

    def _filled(self, model: Any, turned: dict[str, str], kept: dict[str, str], prefix: str) -> Any:
        """Load a tower's weights, all of them and no others. Raises ModelError."""
        weights: dict[str, torch.Tensor] = {}
        pictures = prefix == "vision_model."
        try:
            with safe_open(self.checkpoint.weights[0], framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118 - it is not a dictionary
                    if name in _NEITHER or pictures != name.startswith("visual."):
                        continue
                    tensor = stored.get_tensor(name)
                    if name in turned:
                        weights[turned[name]] = tensor.T.contiguous()
                    elif name in kept:
                        weights[prefix + kept[name]] = tensor
                    else:
                        weights |= {prefix + inner: part for inner, part in self._block(name, tensor).items()}
            model.load_state_dict(weights)
        except (OSError, RuntimeError, SafetensorError) as error:
            said = " ".join(str(error).split())[:200]
            self.checkpoint.refuse(
                f"has other weights than its open_clip_config.json says ({said}); download it again", error
            )
        return self._checked(model)

    def _block(self, name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the weights of one layer under their names in transformers."""
        found = _BLOCK.fullmatch(name)
        part, _, which = found["part"].rpartition(".") if found else ("", "", "")
        if found and found["part"] in ("attn.in_proj_weight", "attn.in_proj_bias"):
            which, names = found["part"].rpartition("_")[2], ("q_proj", "k_proj", "v_proj")
            return {
                f"encoder.layers.{found['layer']}.self_attn.{inner}.{which}": third
                for inner, third in zip(names, tensor.chunk(3), strict=True)
            }
        if not found or part not in _PARTS:
            self.checkpoint.refuse(f"has a weight {name}, which CLIP does not have; see docs/models.md for conversion")
        return {f"encoder.layers.{found['layer']}.{_PARTS[part]}.{which}": tensor}
