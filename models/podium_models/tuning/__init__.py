"""Searches a declared space of settings, trial by trial, and keeps what it found in the run."""
