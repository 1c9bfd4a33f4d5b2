"""The application before Coatcheck: a table of users, with hashes that its own log-in made."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from argon2 import PasswordHasher

PEOPLE = [
    ("ada", "ada@example.org", "the analytical engine", "duffle", True),
    ("Grace", "grace@example.org", "a moth in the relay", "pea coat", True),
    ("charles", "charles@example.org", "the difference engine", "frock coat", False),  # let in no more
]


def make_database(path: Path) -> None:
    """Make the database as the application has left it."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(150) UNIQUE, email VARCHAR(254),"
            " password VARCHAR(255), joined DATETIME NOT NULL, favourite_coat VARCHAR(50),"
            " is_active BOOLEAN NOT NULL DEFAULT 1)"
        )
        for name, email, password, coat, is_active in PEOPLE:
            connection.execute(
                "INSERT INTO users (name, email, password, joined, favourite_coat, is_active)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (name, email, PasswordHasher().hash(password), "2019-12-10 08:00:00.000000", coat, is_active),
            )
    connection.close()
