"""Names the bundle and its files."""

NAME, VERSION = "electronics-search", 1
TOKENIZER = "tokenizer.json"
HEAD = "relevance"
