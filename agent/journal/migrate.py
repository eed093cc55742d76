"""Bring an older journal file to the present schema: `python -m agent.journal.migrate PATH`.

Constraint. sqlite-utils costs 25 MB and 0.2 s to import, so this runs as a short process of its own, before the
core opens its file, and only when `PRAGMA user_version` says that it is needed. Each version is one transaction
together with its record in `_sqlite_migrations`; a power cut in between leaves the older version whole. Exit 0:
done; 1: said why.
"""

import sqlite3
import sys
from collections.abc import Sequence

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from agent.journal import schema
from agent.texts import say


def migrations() -> Migrations:
    """Build the migration set; one step per version of the schema."""
    steps = Migrations(schema.MIGRATION_SET)
    for version, statements in enumerate(schema.VERSIONS, 1):
        steps(name=schema.step_name(version))(_step(version, statements))
    return steps


def migrate(path: str) -> None:
    """Apply what is missing; raise sqlite3.Error and leave the version that was there."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        migrations().apply(Database(connection))
    finally:
        connection.close()


class _step:  # a function with a memory, in the shape that sqlite-utils calls
    def __init__(self, version: int, statements: Sequence[str]) -> None:
        self.__name__ = schema.step_name(version)
        self._version = version
        self._statements = statements

    def __call__(self, db: Database) -> None:
        for statement in self._statements:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {self._version}")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")


def main(argv: Sequence[str]) -> int:
    """Migrate the one file named; errors go to stderr."""
    if len(argv) != 1:
        print(say("journal.migrate-usage"), file=sys.stderr)
        return 2
    try:
        migrate(argv[0])
    except sqlite3.Error as error:
        print(say("journal.migrate-failed", path=argv[0], error=error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
