"""The database of jobs: reachable, and of a revision that this mho can use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mho.config import Settings
from mho.doctor.check import Check, Finding
from mho.jobs.layout import Layout
from mho.jobs.revision import Standing, revision


class Database(Check):
    name = "database"
    remedy = "set database to one that can be reached, or empty for SQLite in data_dir"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        seen = revision(Layout(Path(settings.data_dir).resolve()), settings.database)
        if seen.standing is Standing.ABSENT:
            yield self.ok(f"{seen.where} has no tables yet; mho serve makes them")
        elif seen.standing is Standing.OLDER:
            yield self.warning(
                f"{seen.where} has tables of revision {seen.found}; this mho's is {seen.newest}",
                "make a backup: mho serve brings them up to date, and an older mho then refuses",
            )
        elif seen.standing is Standing.NEWER:
            yield self.failed(
                f"{seen.where} has tables of revision {seen.found}, and this mho knows them up to "
                f"{seen.newest}",
                "use the mho that wrote them, or a newer one",
            )
        else:
            yield self.ok(f"{seen.where} has tables of revision {seen.found}")
