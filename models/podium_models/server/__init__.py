"""Calls a running Podium by gRPC."""
