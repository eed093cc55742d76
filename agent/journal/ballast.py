"""A file that only takes room, beside the journal: removed when the disk is full, it lets the journal work on.

Constraint. On a full disk even DELETE fails in SQLite, for the log of the change needs room first. 1 MiB is some
128 committed pages beyond the 256 KiB that pruning and an alarm need. It is really allocated (posix_fallocate), not
sparse.
"""

import os
from pathlib import Path
from typing import Final

BALLAST_BYTES: Final = 1 << 20
MARGIN_BYTES: Final = 4 << 20
"""The ballast comes back only when this much is free beside it, or it would be removed again at once."""


class Ballast:
    """The file `<journal>.ballast`."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(journal.name + ".ballast")

    def there(self) -> bool:
        """Tell whether it holds its room."""
        try:
            return self.path.stat().st_size >= BALLAST_BYTES
        except OSError:
            return False

    def drop(self) -> bool:
        """Give the room back; False if there was none to give."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True

    def build(self) -> bool:
        """Take the room if there is enough; False if not."""
        if self.there():
            return True
        try:
            disk = os.statvfs(self.path.parent)
            if disk.f_bavail * disk.f_frsize < BALLAST_BYTES + MARGIN_BYTES:
                return False
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            return False
        try:
            os.posix_fallocate(file, 0, BALLAST_BYTES)
            os.fsync(file)
        except OSError:
            self.drop()
            return False
        finally:
            os.close(file)
        return True
