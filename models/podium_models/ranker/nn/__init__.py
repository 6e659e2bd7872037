"""Holds the network definitions; the only modules besides training and export that need torch."""
