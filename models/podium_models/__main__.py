"""Starts the command line: ``python -m podium_models <command>``."""

from podium_models.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
