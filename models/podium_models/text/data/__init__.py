"""Reads products and judgements, cleans them, splits them by query, and reports what happened."""
