"""Cuts a smaller encoder out of a larger one: fewer blocks, neurons, token rows and positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from podium_models.text.nn.bert import Bert, Block


def strongest_neurons(block: Block, count: int) -> Tensor:
    """Returns the places of the ``count`` neurons with the largest weights in and out, in order."""
    strength = block.up.weight.norm(dim=1) * block.down.weight.norm(dim=0)
    return torch.sort(torch.topk(strength, count).indices).values


def copy_block(source: Block, target: Block) -> None:
    """Copies attention and norms, and the neurons that the target has room for."""
    state = dict(source.state_dict())
    kept = strongest_neurons(source, target.up.out_features)
    state["up.weight"], state["up.bias"] = state["up.weight"][kept], state["up.bias"][kept]
    state["down.weight"] = state["down.weight"][:, kept]
    target.load_state_dict(state)


def shrink(bert: Bert, blocks: Sequence[int], ffn: int, ids: Sequence[int], positions: int) -> Bert:
    """Returns an encoder of the named blocks, each with ``ffn`` neurons.

    ``ids`` names the old token id of every new one; ``positions`` is the longest text it reads.
    """
    widths = tuple(min(ffn, bert.shape.ffn[block]) for block in blocks)
    shape = replace(bert.shape, vocabulary=len(ids), positions=positions, ffn=widths)
    small = Bert(shape, bert.dropout.p)
    with torch.no_grad():
        small.tokens.weight.copy_(bert.tokens.weight[torch.as_tensor(list(ids))])
        small.positions.weight.copy_(bert.positions.weight[:positions])
        small.segments.load_state_dict(bert.segments.state_dict())
        small.norm.load_state_dict(bert.norm.state_dict())
        for place, block in enumerate(blocks):
            source, target = bert.blocks[block], small.blocks[place]
            assert isinstance(source, Block)
            assert isinstance(target, Block)
            copy_block(source, target)
    return small.eval()
