"""Files that nobody may read, and the kernel's word on whether anybody did."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

OPENED, READ = 0x20, 0x01


class Canaries:
    """Watches files with inotify, which tells of every open of the file itself, by whatever name."""

    def __init__(self) -> None:
        """Watches nothing yet."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._events = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._events >= 0, "inotify cannot be used here"

    def watch(self, path: Path) -> None:
        """Watches a file from here on; first makes sure that a read of it would be seen."""
        assert self._libc.inotify_add_watch(self._events, os.fsencode(path), OPENED | READ) >= 0
        path.read_bytes()
        assert self.read(), "a read goes unnoticed here: the test would prove nothing"

    def read(self) -> bool:
        """Says whether a watched file was opened since this was last asked."""
        try:
            return bool(os.read(self._events, 65_536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Watches nothing any more."""
        os.close(self._events)
