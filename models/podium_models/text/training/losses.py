"""Losses of one judged list: by its whole order, by pairs, and row by row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RELEVANT = 2
"""The rating from which a product counts as relevant to a query."""


RATING_WEIGHT = 1.5
"""How much likelier one more point of rating makes a product in ``listwise``: e^1.5."""


def listwise(scores: Tensor, ratings: Tensor, temperature: float) -> Tensor:
    """Returns the cross-entropy of the softmax of scores against that of ratings.

    Both are [rows]; a list of one rating costs nothing. Source: Cao et al., "Learning to Rank:
    From Pairwise Approach to Listwise Approach", ICML 2007.
    """
    if bool((ratings == ratings[0]).all()):
        return scores.sum() * 0.0
    target = torch.softmax(ratings * RATING_WEIGHT, dim=0)
    return -(target * torch.log_softmax(scores * temperature, dim=0)).sum()


def pairwise(scores: Tensor, ratings: Tensor, temperature: float) -> Tensor:
    """Returns the mean logistic loss over pairs of different ratings, 0 where there is none.

    Source: Burges et al., "Learning to Rank using Gradient Descent", ICML 2005.
    """
    better = ratings[:, None] > ratings[None, :]
    if not bool(better.any()):
        return scores.sum() * 0.0
    margin = (scores[:, None] - scores[None, :]) * temperature
    return nn.functional.softplus(-margin[better]).mean()


def pointwise(logits: Tensor, ratings: Tensor) -> Tensor:
    """Returns the mean cross-entropy of "relevant", a rating of at least 2."""
    truth = (ratings >= RELEVANT).to(logits.dtype)
    return nn.functional.binary_cross_entropy_with_logits(logits, truth)
