"""States how a product becomes text: what the manifest's templates say, in Python."""

from __future__ import annotations

import polars as pl

from podium_models.text.training.corpus import ProductText, product_text

SHORT, FULL = "title and brand", "title, brand and description"
VIEWS = (SHORT, FULL)

QUERY_TEMPLATE = "{query}"
PRODUCT_TEMPLATE = "{title} {brand} {description}"
DEFAULTS = {"brand": "", "description": ""}


def product_texts(products: pl.DataFrame, view: str) -> list[str]:
    """Returns each product's text as the server fills it, with the description or without."""
    rows = products.select("title", "brand", "description").iter_rows()
    texts = (ProductText(*row) for row in rows)
    return [product_text(one if view == FULL else one._replace(description="")) for one in texts]
