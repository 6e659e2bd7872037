"""Writes bundles: graphs, manifests, vocabularies, histories, catalogue and golden vectors."""
