"""Teach the trained demo model short questions: whole pictures, one or two words, the category above all.

The long run (`train.py`) shows the image tower less than half of each picture to halve the work. It then knows colours
and patterns well, but shapes badly: "boots" found the right pictures in 78 of 100 cases. This run sees whole pictures,
first asks in category words half of the time (lesson `words`), then goes back to complete captions (`captions`).

    python examples/demo_model/train.py --out a --cache pixels.npy
    python examples/demo_model/finish.py --model a --cache pixels.npy --out b --lesson words --steps 500
    python examples/demo_model/finish.py --model b --cache pixels.npy --out c --lesson captions --steps 190
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from random import Random

import captions
import looks
import numpy as np
import tiny
import torch
import train
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

_REST = ((True, True, True, True, False), (True, False, True, False, False), (True, True, True, False, False))
_SHARES = {
    # Complete texts, category alone, colour and category, the rest; weight of the category's classifier.
    "words": (0.34, 0.26, 0.20, 0.20, 3.0),
    "captions": (0.48, 0.07, 0.28, 0.17, 1.0),
}
_WARM_UP = 30
_BATCH = 128


def finish(model_folder: Path, cache: Path, out: Path, steps: int, lesson: str, bar: Progress) -> None:
    """Train `steps` more on the pictures in `cache`, which `train.py` left behind, and save to `out`."""
    complete, category, colour, rest, category_weight = _SHARES[lesson]
    kinds = [(complete, captions.ALL), (category, captions.CATEGORY), (colour, captions.COLOUR)]
    torch.manual_seed(1)
    chosen, pixels = list(looks.training_looks(30_000, 0)), np.load(cache)
    seen = torch.tensor([looks.codes(look) for look in chosen])
    model = AutoModel.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager").train()
    words = AutoTokenizer.from_pretrained(model_folder)
    words.padding_side = "right"
    captions._KINDS = (*kinds, *((rest / len(_REST), said) for said in _REST))  # noqa: SLF001
    heads = torch.nn.ModuleList(torch.nn.Linear(tiny.WIDTH, len(facet)) for facet in looks.FACETS)
    optimiser = _optimiser(model, heads)
    peaks = [group["lr"] for group in optimiser.param_groups]
    order, noise, talk = np.random.default_rng(11), np.random.default_rng(12), Random(13)
    task = bar.add_task("finishing", total=steps, note="")
    for step, rows in zip(range(steps), train.batches(len(chosen), _BATCH, order), strict=False):
        share = min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * share
        spoken = [captions.describe(chosen[row], talk) for row in rows]
        image = train.whole(model, train.augmented(pixels[rows], noise))
        text = model.text_model(input_ids=train.tokens(words, [said for said, _ in spoken])).pooler_output
        stated = torch.tensor([said for _, said in spoken])
        loss = train.sigmoid_loss(image, text, seen[rows], stated, model)
        losses = [functional.cross_entropy(head(image), seen[rows][:, facet]) for facet, head in enumerate(heads)]
        fading = max(0.0, 1 - step / (steps * 0.9))
        total = loss + fading * (category_weight * losses[0] + sum(losses[1:]))
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_([*model.parameters(), *heads.parameters()], 1.0)
        optimiser.step()
        bar.update(task, advance=1, note=f"loss {loss.item():.3f}")
    tiny.save(model.eval(), words, out)


def _optimiser(model: torch.nn.Module, heads: torch.nn.ModuleList) -> torch.optim.Optimizer:
    quick = [model.logit_scale, model.logit_bias]
    slow = [weight for weight in model.parameters() if all(weight is not other for other in quick)]
    groups = [
        {"params": slow, "lr": 7e-4, "weight_decay": 0.05},
        {"params": list(heads.parameters()), "lr": 3e-3, "weight_decay": 0.0},
        {"params": quick, "lr": 2e-3, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def main() -> None:
    """Read the command line and finish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="what train.py made")
    parser.add_argument("--cache", type=Path, required=True, help="the pictures train.py drew")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--lesson", choices=tuple(_SHARES), required=True)
    parser.add_argument("--steps", type=int, required=True)
    given = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
    with Progress(*columns) as bar:
        finish(given.model, given.cache, given.out, given.steps, given.lesson, bar)


if __name__ == "__main__":
    main()
