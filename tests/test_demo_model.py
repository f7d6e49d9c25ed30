"""The demo model that travels in the package: small, loadable by anybody's transformers, and good at its own shop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imgsearch_workers.model.siglip import SiglipEncoder

from imgsearch.dev.demo import catalogue
from imgsearch.picture import decode

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "imgsearch" / "dev" / "demo" / "model"
LARGEST = 8 * 2**20
FILES = {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json"}
# Measured on 400 looks, less a little for other processors. Colour and word together is below its bar of 0.85: of the
# about six pictures that are right among 800, four come first. The README of examples/demo_model says so.
FLOORS = {
    "full caption → picture, recall@1": 0.92,
    "one word: plural, precision@10": 0.90,
    "one word: singular, precision@10": 0.90,
    "picture → same product, recall@1": 0.85,
    "colour and word: plural, precision@10": 0.66,
    "colour and word: singular, precision@10": 0.66,
}
KNOWN_MISSES = {"colour and word: plural, precision@10", "colour and word: singular, precision@10"}


@pytest.fixture(scope="module")
def encoder() -> SiglipEncoder:
    return SiglipEncoder.load("demo", threads=1)


def test_the_model_is_complete_and_small() -> None:
    assert {file.name for file in MODEL.iterdir()} >= FILES
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= LARGEST


@pytest.mark.slow
def test_it_meets_its_bars_on_looks_it_never_saw() -> None:
    script = str(ROOT / "examples" / "demo_model" / "evaluate.py")
    # One process draws them in less time than two need to start.
    command = [sys.executable, script, "--products", "400", "--processes", "1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    below = {name: value for name, value in report["figures"].items() if value < FLOORS.get(name, 0)}
    assert below == {}
    assert set(report["missed"]) <= KNOWN_MISSES


def test_the_search_of_the_readme_finds_red_shoes(encoder: SiglipEncoder) -> None:
    rows = [item for item in catalogue.items() if item.category == "shoes" and item.price < 50]
    rows = [item for item in rows if item.tenant_id == "acme"]
    pictures = encoder.embed_pictures(np.stack([decode(catalogue.draw(item), encoder.size) for item in rows]))
    scores = pictures @ encoder.embed_texts(["red canvas shoes"])[0]
    best = [rows[at].attributes["colour"] for at in np.argsort(-scores)[:10]]
    assert best.count("red") >= 9, best


def test_anybodys_transformers_loads_it_and_agrees(encoder: SiglipEncoder) -> None:
    import torch
    from PIL import Image
    from transformers import AutoModel, AutoProcessor

    model = AutoModel.from_pretrained(MODEL, dtype=torch.float32, local_files_only=True).eval()
    processor = AutoProcessor.from_pretrained(MODEL, local_files_only=True)
    pixels = decode(catalogue.draw(catalogue.items(1)[0]), encoder.size)
    text = "red canvas shoe"
    length = model.config.text_config.max_position_embeddings
    given = processor(
        text=[text], images=Image.fromarray(pixels), padding="max_length", max_length=length, return_tensors="pt"
    )
    with torch.inference_mode():
        image = model.get_image_features(pixel_values=given["pixel_values"]).pooler_output[0].numpy()
        words = model.get_text_features(input_ids=given["input_ids"]).pooler_output[0].numpy()
    assert cosine(image, encoder.embed_pictures(pixels[None])[0]) > 0.999
    assert cosine(words, encoder.embed_texts([text])[0]) > 0.999


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
