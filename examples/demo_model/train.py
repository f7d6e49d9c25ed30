"""How is the demo model trained? Pictures the project draws, texts the project writes, about 15 CPU minutes.

python examples/demo_model/train.py --out imgsearch/dev/demo/model
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import captions
import looks
import numpy as np
import pictures
import tiny
import torch
from imgsearch_workers.model.tokenizer import canonicalize
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, SiglipModel

from imgsearch.dev.demo.words import caption

_DRAWN_SIDE = 320  # draft decoding shrinks 320 px and 640 px to the same 160 px, and 320 px are drawn in a third of it
_WARM_UP = 80
_PEAK = 1e-3
_AUXILIARY_UNTIL = 0.87
"""Part of the run after which the attribute heads no longer count."""
_MASKED_UNTIL = 0.82
_KEPT = 28
"""Patches of 64 that the image tower sees of a picture until then: less than half the work per picture, and learning
from more pictures pays more than learning from whole ones (FLIP, arXiv 2212.00794). The rest of the run sees all."""
_WATCHED = 400
_WATCH_EVERY = 200


@dataclass(frozen=True, slots=True)
class Run:
    """What can be chosen on the command line."""

    out: Path
    steps: int
    batch: int
    pictures: int
    threads: int
    seed: int
    cache: Path | None


class Heads(torch.nn.Module):
    """Linear attribute classifiers on both pooled outputs: they teach what to look at, then are thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.image = torch.nn.ModuleList(torch.nn.Linear(tiny.WIDTH, len(facet)) for facet in looks.FACETS)
        self.text = torch.nn.ModuleList(torch.nn.Linear(tiny.WIDTH, len(facet)) for facet in looks.FACETS)

    def forward(self, image: torch.Tensor, text: torch.Tensor, seen: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Return the summed cross-entropy over the attributes that are seen, and those that are said."""
        total = image.new_zeros(())
        for facet, (on_image, on_text) in enumerate(zip(self.image, self.text, strict=True)):
            total = total + functional.cross_entropy(on_image(image), seen[:, facet])
            total = total + functional.cross_entropy(on_text(text), said[:, facet], ignore_index=looks.UNSAID)
        return total


def sigmoid_loss(
    image: torch.Tensor, text: torch.Tensor, seen: torch.Tensor, said: torch.Tensor, model: SiglipModel
) -> torch.Tensor:
    """Return SigLIP's pairwise loss; a pair is positive when the picture shows all that the text states."""
    image, text = functional.normalize(image, dim=-1), functional.normalize(text, dim=-1)
    logits = text @ image.T * model.logit_scale.exp() + model.logit_bias
    matches = ((said[:, None, :] == looks.UNSAID) | (said[:, None, :] == seen[None, :, :])).all(-1)
    return -functional.logsigmoid(torch.where(matches, logits, -logits)).sum() / len(text)


def augmented(pixels: np.ndarray, random: np.random.Generator) -> torch.Tensor:
    """Mirror half of the pictures, shift all by up to 4 px, vary the light; uint8 (B,S,S,3) → float (B,3,S,S) in ±1."""
    out = np.empty_like(pixels)
    side = pixels.shape[1]
    for number, picture in enumerate(pixels):
        wide = np.pad(picture[:, ::-1] if random.random() < 0.5 else picture, ((4, 4), (4, 4), (0, 0)), mode="edge")
        y, x = random.integers(0, 9, 2)
        out[number] = wide[y : y + side, x : x + side]
    values = torch.from_numpy(out).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    light = torch.from_numpy(random.uniform(0.93, 1.07, (len(pixels), 1, 1, 1)).astype(np.float32))
    return values.mul_(light)


def batches(count: int, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield index batches for ever, each picture once per round."""
    while True:
        order = random.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def learning_rate(step: int, steps: int) -> float:
    """Return the share of the peak: linear warm-up, then a cosine to zero."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (step - _WARM_UP) / max(1, steps - _WARM_UP))


def vocabulary(chosen: list[looks.Look], seed: int) -> PreTrainedTokenizerFast:
    """Make the tokenizer from sample texts."""
    random = Random(seed)
    return tiny.tokenizer(canonicalize(captions.describe(look, random)[0]) for look in chosen)


def train(run: Run, bar: Progress) -> None:
    """Draw, train and save."""
    torch.manual_seed(run.seed)
    torch.set_num_threads(run.threads)
    chosen = list(looks.training_looks(run.pictures, run.seed))
    pixels = drawn(run, chosen, bar)
    seen = torch.tensor([looks.codes(look) for look in chosen])
    held_out = looks.split()[0][:_WATCHED]
    watched = pictures.develop(pictures.shots(held_out, tiny.SIZE, first_seed=0, side=_DRAWN_SIDE), 1)
    words = vocabulary(chosen, run.seed)
    model, heads = tiny.model(words).train(), Heads()
    optimiser = optimiser_for(model, heads)
    order, noise, talk = np.random.default_rng(run.seed), np.random.default_rng(run.seed + 1), Random(run.seed + 2)
    task = bar.add_task("training", total=run.steps, note="")
    peaks, average = [group["lr"] for group in optimiser.param_groups], 0.0
    for step, rows in zip(range(run.steps), batches(len(chosen), run.batch, order), strict=False):
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * learning_rate(step, run.steps)
        spoken = [captions.describe(chosen[row], talk) for row in rows]
        loss = step_loss(run, step, model, heads, words, augmented(pixels[rows], noise), seen[rows], spoken)
        optimiser.zero_grad(set_to_none=True)
        loss[1].backward()
        torch.nn.utils.clip_grad_norm_([*model.parameters(), *heads.parameters()], 1.0)
        optimiser.step()
        average += (loss[0].item() - average) * (0.02 if step else 1.0)
        bar.update(task, advance=1, note=f"loss {average:.3f}")
        if step % _WATCH_EVERY == _WATCH_EVERY - 1:
            recall = watched_recall(model, words, watched, held_out)
            spent = f"{time.process_time():.0f} CPU s"
            bar.console.print(f"step {step + 1}, {spent}: loss {average:.3f}, recall@1 of held-out looks {recall:.3f}")
    tiny.save(model.eval(), words, run.out)


def whole(model: SiglipModel, values: torch.Tensor) -> torch.Tensor:
    """Return the pooled output of whole pictures."""
    return model.vision_model(pixel_values=values).pooler_output


def glimpse(model: SiglipModel, values: torch.Tensor) -> torch.Tensor:
    """Return the pooled output of a random choice of each picture's patches."""
    tower = model.vision_model
    patches = tower.embeddings(values)
    kept = torch.rand(patches.shape[:2]).argsort(1)[:, :_KEPT, None].expand(-1, -1, patches.shape[2])
    seen = tower.encoder(inputs_embeds=patches.gather(1, kept)).last_hidden_state
    return tower.head(tower.post_layernorm(seen))


def watched_recall(
    model: SiglipModel, words: PreTrainedTokenizerFast, pixels: np.ndarray, chosen: list[looks.Look]
) -> float:
    """Return recall@1 of full captions on looks that are held out: the loss alone does not show a degenerate run."""
    ids = tokens(words, [caption(look) for look in chosen])
    with torch.inference_mode():
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        image = functional.normalize(torch.cat([whole(model, part) for part in values.split(64)]), dim=-1)
        text = functional.normalize(model.text_model(input_ids=ids).pooler_output, dim=-1)
    return float((text @ image.T).argmax(1).eq(torch.arange(len(chosen))).float().mean())


def tokens(words: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Return the ids (B, POSITIONS) of texts, canonicalised and padded as a worker does it."""
    clean = [canonicalize(text) for text in texts]
    padded = words(clean, padding="max_length", truncation=True, max_length=tiny.POSITIONS, return_tensors="pt")
    return padded["input_ids"]


def drawn(run: Run, chosen: list[looks.Look], bar: Progress) -> np.ndarray:
    """Return the pictures of all looks, from the cache where there is one."""
    if run.cache and run.cache.exists():
        return np.load(run.cache)
    task = bar.add_task("drawing", total=len(chosen), note="")
    wanted = pictures.shots(chosen, tiny.SIZE, first_seed=1_000_000, side=_DRAWN_SIDE)
    pixels = pictures.develop(wanted, run.threads, lambda: bar.advance(task))
    if run.cache:
        np.save(run.cache, pixels)
    return pixels


def optimiser_for(model: SiglipModel, heads: Heads) -> torch.optim.Optimizer:
    """Return AdamW; scale and bias learn ten times faster and without decay."""
    quick = [model.logit_scale, model.logit_bias]
    slow = [weight for weight in model.parameters() if all(weight is not other for other in quick)]
    groups = [
        {"params": [*slow, *heads.parameters()], "lr": _PEAK, "weight_decay": 0.05},
        {"params": quick, "lr": 10 * _PEAK, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def step_loss(
    run: Run,
    step: int,
    model: SiglipModel,
    heads: Heads,
    words: PreTrainedTokenizerFast,
    values: torch.Tensor,
    seen: torch.Tensor,
    spoken: list[tuple[str, tuple[int, ...]]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return SigLIP's loss alone, and with the heads' share, which fades to nothing."""
    ids = tokens(words, [text for text, _ in spoken])
    said = torch.tensor([stated for _, stated in spoken])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_computes_bfloat16()):
        image = glimpse(model, values) if step < run.steps * _MASKED_UNTIL else whole(model, values)
        text = model.text_model(input_ids=ids).pooler_output
    image, text = image.float(), text.float()
    main = sigmoid_loss(image, text, seen, said, model)
    share = max(0.0, 1 - step / (run.steps * _AUXILIARY_UNTIL))
    return main, main + share * heads(image, text, seen, said) if share else main


def _computes_bfloat16() -> bool:
    """Return whether the processor computes in bfloat16; emulated, a step takes ten times as long."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pictures", type=int, default=30_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="keep the drawn pixels in this .npy file for the next attempt")
    run = Run(**vars(parser.parse_args()))
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    start = time.process_time()
    with Progress(*columns) as bar:
        train(run, bar)
    print(f"saved in {run.out} after {(time.process_time() - start) / 60:.1f} CPU minutes of training")


if __name__ == "__main__":
    main()
