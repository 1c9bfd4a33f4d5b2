"""How long `import coatcheck` takes in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.figures import Row, Table, Target, Who, lines_of
from bench.measure import Effort
from bench.progress import Progress
from bench.sides import absent_remarks, peers

KEY = "import"
SECONDS = 25
OURS = "`import coatcheck`"
STATEMENTS = {
    OURS: "import coatcheck",
    "`import coatcheck` and the SQLite store": "import coatcheck, coatcheck.stores.sqlite.store",
    "`import msgspec` alone": "import msgspec",
}
# What an application of each kind imports for its log-ins, the framework with it.
OF_PEERS = {
    "Starlette": ("`starlette.middleware.sessions`", "import starlette.middleware.sessions"),
    "Django": ("`django.contrib.auth` and `.sessions`, set up", """
from django.conf import settings
settings.configure(INSTALLED_APPS=[f"django.contrib.{n}" for n in ("contenttypes", "auth", "sessions")])
import django; django.setup()
import django.contrib.auth.middleware, django.contrib.sessions.backends.db"""),
    "Flask": (
        "`flask_login`, `flask_session`, `flask_sqlalchemy`",
        "import flask_login, flask_session, flask_sqlalchemy",
    ),
    "fastapi-users": (
        "`fastapi_users` with its database strategy",
        "import fastapi_users, fastapi_users.authentication.strategy.db, fastapi_users_db_sqlalchemy",
    ),
}  # fmt: skip
# Processor time: importing is work, and a neighbour's work is not ours. The files are in the system's cache.
_PROGRAM = "import time; began = time.process_time()\n{}\nprint(time.process_time() - began)"


def measure(_directory: Path, effort: Effort, progress: Progress) -> Row:
    """By turns, each time in a fresh process."""
    rounds = effort.of(20, quick=2)
    statements, who = dict(STATEMENTS), dict[str, Who]({"`import msgspec` alone": "raw"})
    for peer in peers():
        name, statement = OF_PEERS[peer]
        statements[name], who[name] = statement, "peer"
    seconds: dict[str, list[float]] = {name: [] for name in statements}
    tick = progress.part("fresh processes", (rounds + 1) * len(statements))
    for turn in range(rounds + 1):
        for name, statement in statements.items():
            spent = _once(statement)
            if turn:  # the first one may compile
                seconds[name].append(spent)
            tick()
    table = Table(
        title="Processor time of one import",
        unit="time",
        lines=lines_of(seconds, unit="time", who=who),
        base=OURS,
        targets=(Target(line=OURS, limit=0.060, text="at most 60 ms", of="figure"),),
    )
    return Row(
        key=KEY,
        title="`import coatcheck` in a fresh process",
        tables=(table,),
        remarks=("The peers' lines hold their framework; Coatcheck's holds none.", *absent_remarks()),
    )


def _once(statement: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)
