"""The ``text`` kind: bi- and cross-encoders that order products by how well they fit a query."""
