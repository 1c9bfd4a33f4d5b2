"""What an application sees: dates, and no secrets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coatcheck.core.records import AccountRecord, PasswordCredential, SessionRecord
from coatcheck.core.tokens import Token
from coatcheck.core.views import Absent, Account, Login, Session, Visit

T = 1_800_000_000
RECORD = SessionRecord(
    digest=b"secret digest of 32 bytes length",
    id="handle",
    subject="ada",
    epoch=0,
    created_at=T,
    auth_time=T,
    last_seen_at=T,
    idle_timeout=3600,
    expires_at=T + 86_400,
    is_persistent=False,
    methods="oidc pwd",
    data=b'{"app":{"k":"private value"}}',
)
SESSION = Session(RECORD)
ACCOUNT = Account(AccountRecord("ada", "Ada", "ada", "Ada@example.org", "ada@example.org", T))


def test_instants_are_aware_utc():
    assert SESSION.created_at == datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert SESSION.created_at.tzinfo is UTC
    assert SESSION.auth_time == SESSION.last_seen_at == SESSION.created_at


def test_session_says_when_it_ends_if_nobody_uses_it():
    assert int(SESSION.expires_at.timestamp()) == T + 3660


def test_methods_are_a_tuple():
    assert SESSION.methods == ("oidc", "pwd")


def test_data_is_a_copy_that_saves_nothing():
    SESSION.data()["k"] = "changed"

    assert SESSION.data() == {"k": "private value"}
    assert SESSION.data("other") == {}


def test_visit_is_true_and_absent_is_false():
    assert Visit(SESSION, ACCOUNT, is_touch_due=False)
    assert not Absent("no_session")


SHOWN = [
    RECORD,
    SESSION,
    ACCOUNT,
    Visit(SESSION, ACCOUNT, is_touch_due=False),
    Login(Token("the-token-itself"), SESSION, ACCOUNT),
    PasswordCredential("ada", "$argon2id$the-hash", 1, T),
]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: type(shown).__name__)
def test_tok_10_err_08_repr_shows_public_ids_only(shown):
    text = repr(shown)

    for secret in ("the-token-itself", "secret digest", "the-hash", "private value", "example.org"):
        assert secret not in text
    assert "ada" in text


def test_accounts_are_equal_by_what_is_known_of_them():
    same = Account(AccountRecord("ada", "Ada", "ada", "Ada@example.org", "ada@example.org", T))

    assert same == ACCOUNT
    assert hash(same) == hash(ACCOUNT)
    assert ACCOUNT != "ada"
