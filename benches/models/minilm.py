"""MiniLM-L6 as a graph of ONNX: ids [rows, tokens] to one relevance a row.

Source: the BERT encoder of Devlin et al. 2018, mean pooling as sentence-transformers has it; the head is made up.
"""

from __future__ import annotations

import numpy as np
import onnx

from bundle import Tensors, graph
from weights import Floats, Weights

LAYERS, HEADS, WIDTH = 6, 12, 384
HEAD_WIDTH = WIDTH // HEADS

# Words, kinds and places are added; masked tokens get a score that softmax makes 0.
FRONT = """
  words = Gather(word_table, input_ids)
  kinds = Gather(kind_table, token_type_ids)
  shape = Shape(input_ids)
  token_count = Gather(shape, one)
  upto = Reshape(token_count, scalar)
  places_whole = Range(zero, upto, step)
  places = Gather(place_table, places_whole)
  typed = Add(words, kinds)
  placed = Add(typed, places)
  x0 = LayerNormalization<axis = -1, epsilon = 1e-12>(placed, front_norm_weight, front_norm_bias)
  mask = Cast<to = 1>(attention_mask)
  mask_columns = Unsqueeze(mask, middle)
  absent = Sub(one_float, mask_columns)
  hidden_scores = Mul(absent, far_below)
"""

# One layer: x{i} to x{n}. The queries' weights hold the division by the root of a head's width.
LAYER = """
  qkv{i}_product = MatMul(x{i}, qkv{i}_weight)
  qkv{i}_flat = Add(qkv{i}_product, qkv{i}_bias)
  q{i}_flat, k{i}_flat, v{i}_flat = Split<axis = -1>(qkv{i}_flat, thirds)
  q{i}_heads = Reshape(q{i}_flat, by_heads)
  k{i}_heads = Reshape(k{i}_flat, by_heads)
  v{i}_heads = Reshape(v{i}_flat, by_heads)
  q{i} = Transpose<perm = [0, 2, 1, 3]>(q{i}_heads)
  k{i} = Transpose<perm = [0, 2, 3, 1]>(k{i}_heads)
  v{i} = Transpose<perm = [0, 2, 1, 3]>(v{i}_heads)
  scores{i}_all = MatMul(q{i}, k{i})
  scores{i} = Add(scores{i}_all, hidden_scores)
  shares{i} = Softmax<axis = -1>(scores{i})
  seen{i}_heads = MatMul(shares{i}, v{i})
  seen{i}_rows = Transpose<perm = [0, 2, 1, 3]>(seen{i}_heads)
  seen{i} = Reshape(seen{i}_rows, by_width)
  out{i}_product = MatMul(seen{i}, out{i}_weight)
  out{i} = Add(out{i}_product, out{i}_bias)
  both{i} = Add(out{i}, x{i})
  y{i} = LayerNormalization<axis = -1, epsilon = 1e-12>(both{i}, mid{i}_norm_weight, mid{i}_norm_bias)
  up{i}_product = MatMul(y{i}, up{i}_weight)
  up{i} = Add(up{i}_product, up{i}_bias)
  bent{i}_scaled = Div(up{i}, root_two)
  bent{i}_erf = Erf(bent{i}_scaled)
  bent{i}_one = Add(bent{i}_erf, one_float)
  bent{i}_twice = Mul(up{i}, bent{i}_one)
  bent{i} = Mul(bent{i}_twice, half)
  down{i}_product = MatMul(bent{i}, down{i}_weight)
  down{i} = Add(down{i}_product, down{i}_bias)
  all{i} = Add(down{i}, y{i})
  x{n} = LayerNormalization<axis = -1, epsilon = 1e-12>(all{i}, end{i}_norm_weight, end{i}_norm_bias)
"""

# The mean of the tokens that are there, then one number a row.
BACK = """
  mask_last = Unsqueeze(mask, last)
  kept = Mul(x{n}, mask_last)
  sums = ReduceSum<keepdims = 0>(kept, tokens_axis)
  counts = ReduceSum<keepdims = 0>(mask_last, tokens_axis)
  pooled = Div(sums, counts)
  scored = MatMul(pooled, head_weight)
  relevance = Squeeze(scored, tokens_axis)
"""

SIGNATURE = """minilm (int64[rows, tokens] input_ids, int64[rows, tokens] attention_mask,
  int64[rows, tokens] token_type_ids) => (float[rows] relevance)"""

CONSTANTS: Tensors = {
    "zero": np.array(0, np.int64),
    "step": np.array(1, np.int64),
    "one": np.array([1], np.int64),
    "scalar": np.array([], np.int64),
    "middle": np.array([1, 2], np.int64),
    "last": np.array([-1], np.int64),
    "tokens_axis": np.array([1], np.int64),
    "thirds": np.array([WIDTH] * 3, np.int64),
    "by_heads": np.array([0, 0, HEADS, HEAD_WIDTH], np.int64),
    "by_width": np.array([0, 0, WIDTH], np.int64),
    "one_float": np.array(1, np.float32),
    "half": np.array(0.5, np.float32),
    "root_two": np.array(np.sqrt(2), np.float32),
    "far_below": np.array(-1e9, np.float32),
}


def head(seed: int = 4) -> Floats:
    """Returns the vector that the pooled text is multiplied with, [384, 1]: chosen once, of no meaning."""
    drawn = np.random.default_rng(seed).normal(size=(WIDTH, 1))
    scaled: Floats = (drawn / np.sqrt(WIDTH) * 4).astype(np.float32)
    return scaled


def model(weights: Weights) -> onnx.ModelProto:
    """Returns the graph with its weights."""
    layers = "".join(LAYER.format(i=layer, n=layer + 1) for layer in range(LAYERS))
    text = f"{SIGNATURE} {{{FRONT}{layers}{BACK.format(n=LAYERS)}}}"
    return graph(text, CONSTANTS | parameters(weights))


def parameters(weights: Weights) -> Tensors:
    """Returns the weights by their names in the graph."""
    embeddings = {"word_table": "word", "kind_table": "token_type", "place_table": "position"}
    named: Tensors = {
        name: weights.tensors[f"embeddings.{kind}_embeddings.weight"] for name, kind in embeddings.items()
    }
    named |= norm(weights, "front", "embeddings.LayerNorm") | {"head_weight": head()}
    for layer in range(LAYERS):
        part = f"encoder.layer.{layer}."
        names = [part + f"attention.self.{kind}" for kind in ("query", "key", "value")]
        qkv, bias = (values.copy() for values in weights.linear(*names))
        qkv[:, :WIDTH] /= np.sqrt(HEAD_WIDTH)
        bias[:WIDTH] /= np.sqrt(HEAD_WIDTH)
        named |= {f"qkv{layer}_weight": qkv, f"qkv{layer}_bias": bias}
        dense = {"out": "attention.output.dense", "up": "intermediate.dense", "down": "output.dense"}
        for name, place in dense.items():
            weight, bias = weights.linear(part + place)
            named |= {f"{name}{layer}_weight": weight, f"{name}{layer}_bias": bias}
        named |= norm(weights, f"mid{layer}", part + "attention.output.LayerNorm")
        named |= norm(weights, f"end{layer}", part + "output.LayerNorm")
    return named


def norm(weights: Weights, name: str, place: str) -> Tensors:
    """Returns the two vectors of a layer normalisation."""
    return {f"{name}_norm_{part}": weights.tensors[f"{place}.{part}"] for part in ("weight", "bias")}
