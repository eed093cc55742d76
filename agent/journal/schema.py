"""The journal's file as a technician sees it: an SQLite database, one table per question.

Format, version 2 (`PRAGMA user_version`); `PRAGMA application_id` is "CAJ1", so that no other file is taken for
ours.

| table | one row is |
|---|---|
| `event` | an event: `seq`, its canonical JSON `body`, the `hash` of that; the other columns are read out of `body` |
| `outbox` | an event that is not delivered: `state` is `due`, `acked` (broker has it, district not yet) or `refused` |
| `gap` | a closed range of `seq` removed on purpose (delivered and old, or evicted), with its last hash |
| `quarantine` | an event whose content no longer fits its hash |
| `command` | a command that was taken, and its reply |
| `saved` | what the alarms remember across a restart |
| `boot` | a start of the machine whose clock was set later: the offset found |
| `meta` | `journal` (the id of this chain), `made`, `receipts`, `receipt`, `clearing` |

Constraints. Only `body` and `hash` are stored for an event: a column that repeats a member of `body` could differ
from it after a bit flip. `outbox` is keyed by `seq` alone and has no index, so an append touches two pages; what is
due is looked up in memory (`board.py`). A store is made in one piece from `VERSIONS` (a fresh file, or memory when
the disk is sick); an older file is brought here step by step by sqlite-utils (`migrate.py`), and both give the same
schema.
"""

from typing import Final

APPLICATION_ID: Final = 0x43414A31
MIGRATION_SET: Final = "campus-agent-journal"

VERSION_1: Final = (
    """CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        body TEXT NOT NULL,
        hash TEXT NOT NULL,
        time TEXT AS (json_extract(body, '$.time')) VIRTUAL,
        type TEXT AS (json_extract(body, '$.type')) VIRTUAL,
        lane TEXT AS (json_extract(body, '$.lane')) VIRTUAL,
        device TEXT AS (json_extract(body, '$.data.device')) VIRTUAL,
        point TEXT AS (json_extract(body, '$.data.point')) VIRTUAL,
        id TEXT AS (json_extract(body, '$.id')) VIRTUAL
    )""",
    """CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY,
        lane TEXT NOT NULL,
        state TEXT NOT NULL,
        code INTEGER,
        reason TEXT
    )""",
    """CREATE TRIGGER event_is_due AFTER INSERT ON event BEGIN
        INSERT INTO outbox (seq, lane, state) VALUES (new.seq, new.lane, 'due');
    END""",
    "CREATE TABLE gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, hash TEXT NOT NULL)",
    """CREATE TABLE command (
        id TEXT PRIMARY KEY,
        verb TEXT NOT NULL,
        taken TEXT NOT NULL,
        life TEXT NOT NULL,
        reply TEXT
    )""",
    "CREATE TABLE saved (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
VERSION_2: Final = (
    """CREATE TABLE quarantine (
        seq INTEGER PRIMARY KEY,
        found TEXT NOT NULL,
        expected TEXT NOT NULL,
        computed TEXT NOT NULL,
        body BLOB
    )""",
    """CREATE TABLE boot (
        bootid TEXT PRIMARY KEY,
        offset_ms INTEGER NOT NULL,
        boottime_ns INTEGER NOT NULL,
        noted TEXT NOT NULL
    )""",
)
VERSIONS: Final = (VERSION_1, VERSION_2)
VERSION: Final = len(VERSIONS)

MIGRATIONS_TABLE: Final = (
    """CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
)""",
    """CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name")""",
)
"""As sqlite-utils makes it, so that its own tools know what was applied."""


def step_name(version: int) -> str:
    """Name one migration, as `_sqlite_migrations` records it."""
    return f"version-{version}"
