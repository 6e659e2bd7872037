"""Runs the frozen part of an encoder once over all texts; training repeats the rest alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from podium_models.text.nn.bert import Bert, mean_pool
from podium_models.text.nn.embed import BATCH_TOKENS, mixed_precision
from podium_models.text.tokens.batches import Texts, buckets, encode, pad


def frozen_states(
    bert: Bert, tokenizer: Tokenizer, texts: Texts, tuned_blocks: int, mixed: bool
) -> list[Tensor]:
    """Returns each text's states below the tuned blocks, [tokens, width] float32.

    Where no block is tuned that is one pooled vector, [1, width].
    """
    encoded = encode(tokenizer, texts)
    device = bert.norm.weight.device
    found: list[Tensor] = [torch.empty(0)] * len(encoded)
    bar = tqdm(total=len(encoded), desc="read texts", unit="text", mininterval=5)
    bert.eval()
    with torch.no_grad(), mixed_precision(device, mixed), bar:
        for places in buckets([len(ids) for ids, _ in encoded], BATCH_TOKENS):
            ids, mask, types = (
                torch.from_numpy(one).to(device) for one in pad([encoded[one] for one in places])
            )
            states = bert(ids, mask, types, bert.shape.layers - tuned_blocks).float()
            if tuned_blocks == 0:
                states, mask = mean_pool(states, mask)[:, None], mask[:, :1]
            for row, place in enumerate(places):
                found[place] = states[row, : int(mask[row].sum())].cpu().clone()
            bar.update(len(places))
    return found


def pad_states(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pads states to the longest: [texts, tokens, width], and their mask [texts, tokens]."""
    lengths = torch.tensor([len(one) for one in states])
    padded = torch.nn.utils.rnn.pad_sequence(list(states), batch_first=True)
    mask = torch.arange(padded.shape[1])[None] < lengths[:, None]
    return padded, mask.long()
