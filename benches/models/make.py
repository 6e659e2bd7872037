"""Writes the bundles that `podium bench` measures with, as a model repository.

    minilm-l6/1          MiniLM-L6, fp32; every text of its example has 32 tokens
    minilm-l6-lengths/1  the same graph; the lengths of its example's texts are log-normal, 24 tokens at the median
    tiny-mlp/1           a perceptron of 64, 128 and 1, whose run takes microseconds

The weights come once from the Python package index; all else is made from fixed seeds.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import onnx

import minilm
import mlp
from bundle import Bundle, inputs, write
from texts import Shelf, example
from weights import Weights, fetch

TARGET = Path(__file__).resolve().parent.parent.parent / "target"
TOKENS = 32
MOST_TOKENS = 128
MEDIAN_TOKENS, SIGMA = 24.0, 0.6
TITLES, VARIED_TITLES = 256, 2048

TEXT_INPUT = 'source = "tokens"\ntext = "pair"\npart = "{}"\ndtype = "int64"\nshape = ["rows", "tokens"]'
MANIFEST = f"""format = 1
role = "ranker"
description = "MiniLM-L6 over query and title, {{}}; its head is made up, for benchmarks."

[texts.pair]
tokenizer = "tokenizer.json"
first = "{{{{query}}}}"
second = "{{{{title}}}}"
max_tokens = {MOST_TOKENS}

{
    inputs(
        input_ids=TEXT_INPUT.format("ids"),
        attention_mask=TEXT_INPUT.format("mask"),
        token_type_ids=TEXT_INPUT.format("types"),
    )
}
[[outputs]]
name = "relevance"
shape = ["rows"]
activation = "sigmoid"

[example]
file = "example.json"
"""


def text_bundle(name: str, described: str, model: onnx.ModelProto, shelf: Shelf, lengths: list[int]) -> Bundle:
    """Returns a bundle over titles of the lengths, whose golden vectors are of its first few."""
    titles = [shelf.title(length) for length in lengths]
    cases = {"one title": shelf.tensors(titles[:1]), "three titles": shelf.tensors(titles[1:4])}
    files = {"tokenizer.json": shelf.tokenizer.to_str().encode(), "example.json": example(titles)}
    return Bundle(name, "1", MANIFEST.format(described), model, cases, files)


def bundles(weights: Weights) -> list[Bundle]:
    """Returns all of them."""
    model = minilm.model(weights)
    same, varied = Shelf(weights.tokenizer, 1), Shelf(weights.tokenizer, 2)
    lengths = varied.log_normal(VARIED_TITLES, MEDIAN_TOKENS, SIGMA, MOST_TOKENS)
    return [
        text_bundle("minilm-l6", f"{TOKENS} tokens each", model, same, [TOKENS] * TITLES),
        text_bundle("minilm-l6-lengths", "of log-normal lengths", model, varied, lengths),
        mlp.bundle(),
    ]


def main() -> None:
    """Writes what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=TARGET / "bench-models", help="where to write, replaced as a whole")
    root: Path = parser.parse_args().out
    cache = TARGET / "bench-weights"
    cache.mkdir(parents=True, exist_ok=True)
    weights = Weights(fetch(cache))
    fresh = root.with_name(f".{root.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    for bundle in bundles(weights):
        directory = write(bundle, fresh)
        print(f"written: {root / directory.relative_to(fresh)}", flush=True)
    shutil.rmtree(root, ignore_errors=True)
    fresh.rename(root)


if __name__ == "__main__":
    main()
