"""The upper part of a ranker, which learns: the encoder's last blocks and what scores with them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from podium_models.text.forms import BI, FORMS
from podium_models.text.nn.bert import Bert, mean_pool

START_SCALE, START_BIAS = 8.0, -4.0


class Top(nn.Module):
    """Reads states that the frozen blocks gave, and scores.

    A bi-encoder compares query and product by cosine; a cross-encoder reads a logit off the joint
    text. Logits are those of "relevant".
    """

    def __init__(self, bert: Bert, form: str, tuned_blocks: int) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"model.form is {form!r}; it is one of {', '.join(FORMS)}")
        if not 0 <= tuned_blocks <= bert.shape.layers:
            raise ValueError(f"train.tuned_blocks is 0 to {bert.shape.layers}")
        width = bert.shape.width
        self.form = form
        self.blocks = nn.ModuleList(
            copy.deepcopy(one) for one in bert.blocks[bert.shape.layers - tuned_blocks :]
        )
        self.head = nn.Parameter(torch.zeros(width))
        self.scale = nn.Parameter(torch.tensor(START_SCALE))
        self.bias = nn.Parameter(torch.tensor(START_BIAS if form == BI else 0.0))

    def vectors(self, states: Tensor, mask: Tensor) -> Tensor:
        """Maps states [texts, tokens, width] of the frozen blocks to unit vectors."""
        bias = (1.0 - mask.to(states.dtype))[:, None, None, :] * -10_000.0
        for block in self.blocks:
            states = block(states, bias)
        return mean_pool(states.float(), mask)

    def compare(self, queries: Tensor, products: Tensor) -> Tensor:
        """Returns logits [rows] of vectors [rows, width] each."""
        return (queries * products).sum(-1) * self.scale + self.bias

    def judge(self, joint: Tensor) -> Tensor:
        """Returns logits [rows] of joint vectors [rows, width]."""
        return joint @ self.head * self.scale + self.bias
