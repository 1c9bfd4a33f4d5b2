"""Rows of the SQL stores that no statement could have written: a disk can (ERR-05).

A store refuses another type in a column, and null where none may be; a flipped bit asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coatcheck.core.records import SubjectState
from coatcheck.errors import CorruptRecord
from coatcheck.stores import rows
from coatcheck.testing.samples import NOW, a_digest, a_password, a_session, an_account

SESSION, ACCOUNT, PASSWORD = a_session(), an_account(), a_password()
OWN, EVERYBODY = (2, NOW, "revoked", None, 1), (0, 0, "")
NAMES = ("Ada", "ada", None, None, NOW)
FOUND = {
    "user agent": None, "owner": 1, "id": SESSION.id, "subject": "ada", "epoch": 2, "created at": NOW,
    "auth time": NOW, "last seen": NOW, "idle timeout": 3600, "expires": NOW + 86_400, "persistent": 0,
    "methods": "pwd", "ip": "192.0.2.7", "ended": None, "reason": None, "data": None,
    "own epoch": 2, "own epoch at": NOW, "own reason": "revoked", "disabled": None, "credential": 1,
    "everybody's epoch": 0, "everybody's at": 0, "everybody's reason": "",
    "username": "Ada", "username key": "ada", "email": None, "email key": None, "opened": NOW,
}  # fmt: skip


def found(**wrong: object) -> Any:
    columns = FOUND | {name.replace("_", " "): value for name, value in wrong.items()}
    return rows.found_of(tuple(columns.values()), digest=a_digest(1), user_agent=None)


def test_a_row_as_it_was_written_is_a_session_with_its_state_and_account() -> None:
    made = found()

    assert (made.session.id, made.session.data) == (SESSION.id, b"{}")
    assert made.state == SubjectState("ada", *OWN)
    assert made.account == ACCOUNT


@pytest.mark.parametrize(
    "column", ["created at", "last seen", "idle timeout", "expires", "methods", "own epoch", "own epoch at"]
)
def test_err_05_a_session_without_what_every_session_has_is_corrupt(column: str) -> None:
    with pytest.raises(CorruptRecord, match=f"session {SESSION.id}"):
        found(**{column.replace(" ", "_"): None})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("created at", "1"), ("auth time", "1"), ("expires", 1.5), ("methods", b"pwd"), ("subject", 5), ("ip", b"x"),
        ("reason", b"x"), ("data", 5), ("data", "{}"), ("own epoch", "2"), ("own epoch at", "2"), ("own reason", b"x"),
        ("username", b"x"), ("email", 5), ("opened", "2"),
    ],
)  # fmt: skip
def test_err_05_a_session_with_another_type_in_a_column_is_corrupt(column: str, value: object) -> None:
    with pytest.raises(CorruptRecord, match=f"session {SESSION.id}"):
        found(**{column.replace(" ", "_"): value})


def test_err_05_a_session_whose_id_is_no_text_is_corrupt_and_not_named() -> None:
    with pytest.raises(CorruptRecord) as refused:
        found(id=b"x")

    assert refused.value.record == "session"


@pytest.mark.parametrize("epoch", [(None, 0, ""), ("1", 0, ""), (1, None, ""), (1, "0", ""), (1, 0, None), (1, 0, b"")])
def test_err_05_an_epoch_of_everybodys_that_cannot_be_read_lets_nobody_in(epoch: tuple[object, ...]) -> None:
    with pytest.raises(CorruptRecord, match="everybody"):
        found(**dict(zip(("everybody's_epoch", "everybody's_at", "everybody's_reason"), epoch, strict=True)))


OTHERS: dict[str, tuple[Callable[[Any], object], tuple[object, ...], tuple[int, ...]]] = {
    "account": (rows.account_of, ("ada", *NAMES), (0, 5)),
    "subject": (rows.state_of, ("ada", *OWN, *EVERYBODY), (0, 1, 2, 3, 5, 6, 7, 8)),
    "password": (rows.credential_of, ("ada", PASSWORD.hash, 1, NOW), (0, 1, 2, 3)),
    "log-in": (
        rows.identified_of,
        ("ada", *NAMES, PASSWORD.hash, 1, NOW),
        (0, 5, 7, 8),
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_err_05_null_where_none_may_be_is_a_corrupt_record(kind: str) -> None:
    make, row, columns = OTHERS[kind]
    make(row)

    for column in columns:
        with pytest.raises(CorruptRecord):
            make((*row[:column], None, *row[column + 1 :]))
