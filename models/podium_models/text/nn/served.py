"""The whole network as it is served: token ids in, one logit a row out."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from podium_models.text.nn.bert import Bert, mean_pool
from podium_models.text.nn.ranker import Top


class Whole(nn.Module):
    """An encoder with the tuned blocks in their places, and a top that scores."""

    def __init__(self, bert: Bert, top: Top) -> None:
        super().__init__()
        self.bert = merged(bert, top)
        self.top = bare(bert, top)


class BiServed(Whole):
    """A bi-encoder; ``user_index`` [rows] says which query each product is held against."""

    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        product_ids: Tensor,
        product_mask: Tensor,
        user_index: Tensor,
    ) -> Tensor:
        """Returns logits [rows]."""
        queries = mean_pool(self.bert(query_ids, query_mask), query_mask)
        products = mean_pool(self.bert(product_ids, product_mask), product_mask)
        return self.top.compare(queries[user_index], products)


class CrossServed(Whole):
    """A cross-encoder over query and product in one text."""

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """Returns logits [rows]."""
        return self.top.judge(mean_pool(self.bert(ids, mask, types), mask))


def merged(bert: Bert, top: Top) -> Bert:
    """Returns a copy of the encoder with the top's blocks in place of its own."""
    whole = copy.deepcopy(bert)
    start = bert.shape.layers - len(top.blocks)
    for place, block in enumerate(top.blocks):
        whole.blocks[start + place].load_state_dict(block.state_dict())
    return whole.eval()


def bare(bert: Bert, top: Top) -> Top:
    """Returns a top without blocks that scores as this one, for a merged encoder."""
    small = Top(bert, top.form, 0)
    own = {name: one for name, one in top.state_dict().items() if not name.startswith("blocks.")}
    small.load_state_dict(own)
    return small.eval()
