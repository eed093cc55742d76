"""Folding the write-ahead log back into the file, beside the writer.

Constraint. SQLite does this within the commit that makes the log long: 1,000 pages written here and there and two
flushes, which is 10 ms on a good disk and a second on an SD card, and an alarm may be that commit. So a thread with
a connection of its own does it (PASSIVE: it blocks nobody), and the writer only folds in the few pages that came
meanwhile, for the log is used again from its start only when all of it is in the file.
"""

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.journal.store import connect

LOG_BYTES: Final = 4 << 20
"""How long the log may get before it is folded in: SQLite's own default."""
COMMIT_BYTES: Final = 8 << 10
"""What a commit adds to the log at least: a page of events and a page of the outbox."""
JOIN_TIMEOUT_S: Final = 5.0


class Checkpointer:
    """Owns a thread and a connection, from `start` to `stop`; after an error the connection is made anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wake = threading.Event()
        self._stopping = False
        self._running = False
        self._finished = False
        self._log_bytes = 0
        self._thread = threading.Thread(target=self._main, name="journal-checkpoint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wrote(self, body_bytes: int) -> bool:
        """Count a commit, and begin when the log is long; True when the writer shall fold in the rest now."""
        self._log_bytes += COMMIT_BYTES + body_bytes
        if self._finished:
            self._finished = self._running = False
            self._log_bytes = 0
            return True
        if self._log_bytes >= LOG_BYTES and not self._running:
            self._running = True
            self._wake.set()
        return False

    def stop(self, *, wait: bool) -> None:
        """End the thread; on a sick disk don't wait for it."""
        self._stopping = True
        self._wake.set()
        if wait and self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_S)

    def _main(self) -> None:
        while self._woken():
            with suppress(sqlite3.Error):  # a full disk, no descriptors: the writer meets it too, and says it
                self._fold_until_stopped()
            self._finished = True  # it is tried again when the log has grown once more

    def _woken(self) -> bool:
        self._wake.wait()
        self._wake.clear()
        return not self._stopping

    def _fold_until_stopped(self) -> None:
        connection = connect(self._path)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            while True:
                checkpoint(connection)
                self._finished = True
                if not self._woken():
                    return
        finally:
            connection.close()


def checkpoint(connection: sqlite3.Connection) -> None:
    """Fold into the file what can be folded without waiting for anybody; raise sqlite3.Error."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
