"""Interaction logs, from files to histories with splits."""
