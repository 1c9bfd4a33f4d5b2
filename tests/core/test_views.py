"""What an application sees: dates, and no secrets."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from coatcheck.core.records import AccountRecord, PasswordCredential, SessionRecord
from coatcheck.core.tokens import Token
from coatcheck.core.views import Absent, Account, Client, Login, Session, Visit, instant

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


def test_a_session_shows_what_its_record_says():
    session = Session(msgspec.structs.replace(RECORD, ip="192.0.2.7", user_agent="Browser/1"))

    assert (session.id, session.subject, session.is_persistent) == ("handle", "ada", False)
    assert (session.ip, session.user_agent) == ("192.0.2.7", "Browser/1")


def test_an_account_shows_its_names_as_typed():
    account = Account(AccountRecord("ada", "Ada", "ada", "Ada@example.org", "ada@example.org", T))

    assert (account.subject, account.username, account.email) == ("ada", "Ada", "Ada@example.org")
    assert account.created_at == datetime(2027, 1, 15, 8, tzinfo=UTC)


def test_an_anonymous_session_is_nobodys_and_proves_nothing():
    session = Session(msgspec.structs.replace(RECORD, subject=None, auth_time=None))

    assert (session.subject, session.auth_time) == (None, None)
    assert Visit(session, None, is_touch_due=False).subject is None
    assert Login(Token("t"), session, None).subject is None


@pytest.mark.parametrize("is_touch_due", [True, False])
def test_a_visit_gives_its_session_and_the_account_behind_it(is_touch_due):
    visit = Visit(SESSION, ACCOUNT, is_touch_due=is_touch_due)

    assert (visit.session, visit.account, visit.is_touch_due) == (SESSION, ACCOUNT, is_touch_due)
    assert visit.subject == "ada"


def test_an_absence_gives_its_reason():
    absent = Absent("idle_timeout")

    assert absent.reason == "idle_timeout"
    assert repr(absent) == "Absent('idle_timeout')"


def test_rat_13_a_login_gives_token_and_device_for_cookies_of_their_own():
    token, device = Token("token"), Token("device")

    login = Login(token, SESSION, ACCOUNT, device=device)

    assert (login.token, login.device) == (token, device)
    assert (login.session, login.account, login.subject) == (SESSION, ACCOUNT, "ada")
    assert Login(token, SESSION, ACCOUNT).device is None


def test_err_08_a_client_does_not_show_its_device():
    assert "device-secret" not in repr(Client(device=Token("device-secret")))


def test_instants_are_aware_utc():
    assert SESSION.created_at == datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert SESSION.created_at.tzinfo is UTC
    assert SESSION.auth_time == SESSION.last_seen_at == SESSION.created_at


@pytest.mark.parametrize(
    ("seconds", "year", "second"),
    [(0, 1970, 0), (1, 1970, 1), (-1, 1970, 0), (253_402_300_799, 9999, 59), (253_402_300_800, 9999, 59)],
)
def test_err_05_an_instant_that_no_calendar_has_is_the_first_or_the_last_it_has(seconds, year, second):
    shown = instant(seconds)

    assert (shown.year, shown.second, shown.tzinfo) == (year, second, UTC)


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
    assert hash(Account(AccountRecord("bob", "Bob", "bob", None, None, T))) != hash(ACCOUNT)
    assert ACCOUNT != "ada"
