"""The pooling head of SigLIPs, asked so that it does not take half of all time on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def hastened(tower: Any) -> Any:
    """Return a tower whose pooling head reads its weights once, not once per patch.

    torch's MultiheadAttention works with the sequence first, and its linear layer copies its weights once per position
    where the input is not laid out so. ViT-B/16-224 in bfloat16: 103 ms of CPU per picture in place of 234, the same
    bits; in float32 322 either way (`python -m bench.encoders`).
    """
    if (head := getattr(tower, "head", None)) is not None:
        head.attention.register_forward_pre_hook(_lay_sequence_first)
    return tower


def _lay_sequence_first(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    probe, seen, *_rest = given
    laid = seen.transpose(0, 1).contiguous().transpose(0, 1)
    return probe, laid, laid  # key and value stay one tensor, which is projected at once
