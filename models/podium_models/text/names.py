"""Names the bundle that ships, and files."""

NAME, VERSION = "electronics-search", 1
TOKENIZER = "tokenizer.json"
HEAD = "relevance"
STUDENT, ACCEPTED = "student", "accepted.json"
