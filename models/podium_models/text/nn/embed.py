"""Embeds many texts with a bi-encoder, and says where and how precisely torch computes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from podium_models.text.nn.bert import Bert, mean_pool
from podium_models.text.tokens.batches import buckets, encode, pad

Floats = npt.NDArray[np.float32]

BATCH_TOKENS = 1536


def cpu_has_bf16() -> bool:
    """Says whether this processor multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def mixed_precision(device: torch.device, wanted: bool = True) -> AbstractContextManager[object]:
    """Returns a context that computes in bfloat16 where the device is quicker in it."""
    if wanted and (device.type == "cuda" or cpu_has_bf16()):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def embed_batch(bert: Bert, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Tensor:
    """Maps padded ids and mask [texts, tokens] to unit vectors [texts, width] float32."""
    device = bert.norm.weight.device
    given = torch.from_numpy(mask).to(device)
    states = bert(torch.from_numpy(ids).to(device), given)
    return mean_pool(states.float(), given)


def embed_texts(
    bert: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    mixed: bool = False,
    label: str | None = None,
) -> Floats:
    """Returns [texts, width] float32 in the texts' order; with a label, shows progress."""
    encoded = encode(tokenizer, texts)
    out = np.empty((len(texts), bert.shape.width), np.float32)
    device = bert.norm.weight.device
    bert.eval()
    bar = tqdm(total=len(texts), desc=label, unit="text", mininterval=5, disable=label is None)
    with torch.no_grad(), mixed_precision(device, mixed), bar:
        for places in buckets([len(ids) for ids, _ in encoded], BATCH_TOKENS):
            tokens = pad([encoded[place] for place in places])
            out[places] = embed_batch(bert, tokens.ids, tokens.mask).cpu().numpy()
            bar.update(len(places))
    return out


def save_vectors(path: Path, vectors: Floats) -> None:
    """Writes ``path`` (.npy) so that a reader never sees half of it."""
    partial = path.with_suffix(".partial.npy")
    np.save(partial, vectors)
    partial.replace(path)
