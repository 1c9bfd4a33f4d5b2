"""What the rules say of the SQLite file, attacked through the desks that use it."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coatcheck import AsyncCoatcheck, Client, Coatcheck, CoatcheckError, InvalidCredentials
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.scene import the_hasher

PASSWORD = "a long enough passphrase"
HOSTILE = [
    "' OR 1=1--",
    '" OR ""="',
    "%",
    "a%",
    "a_a",
    "ada\0",
    "ADA'; DROP TABLE sessions;--",
    "?1",
    ":name",
    "subject-of-ad_",
    "ada' UNION SELECT * FROM passwords--",
]


async def ask(method: Any, *args: Any, **named: Any) -> Any:
    """Call a method of either desk; give what it gives, or the refusal."""
    try:
        answer = method(*args, **named)
        return await answer if inspect.isawaitable(answer) else answer
    except CoatcheckError as refusal:
        return refusal


def tables(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


@pytest.mark.parametrize("make", [Coatcheck, AsyncCoatcheck])
@pytest.mark.parametrize("text", HOSTILE)
def test_dat_03_whatever_is_written_for_a_name_an_id_a_key_or_a_note_is_a_value_and_no_sql(
    make: Any, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"

    async def story() -> None:
        desk = make(f"sqlite:///{path}", clock=MovableClock())
        desk.flows.parts.hasher = the_hasher()
        account = await ask(desk.sign_up, username="ada", email="ada@example.org", password=PASSWORD)
        login = await ask(desk.log_in, "ada", PASSWORD)
        before = tables(path)

        assert isinstance(await ask(desk.log_in, text, PASSWORD), InvalidCredentials)
        assert await ask(desk.find_account, text) is None
        assert await ask(desk.account, text) is None
        assert await ask(desk.session, text) is None
        assert isinstance(await ask(desk.revoke, text, of=account.subject), CoatcheckError)
        assert not await ask(desk.authenticate, text)
        assert (await ask(desk.sessions, of=text.replace("\0", ""))) == ()
        assert (await ask(desk.events, of=text.replace("\0", "")))[0] == ()
        assert await ask(desk.unlock, text.replace("\0", "")) is False
        assert await ask(desk.enable, text.replace("\0", "")) is False
        await ask(desk.revoke_all, of=account.subject, keep=login.session.id, note=text)
        hostile = Client(ip=text, user_agent=text, request_id=text)
        assert isinstance(await ask(desk.log_in, "ada", "a wrong passphrase", client=hostile), InvalidCredentials)
        key = text.replace("\0", "0")  # a key has no NUL (SES-08)
        assert await ask(desk.increment, login.session, key) == 1
        assert await ask(desk.authenticate, login.token)

        kept = (await ask(desk.authenticate, login.token)).session.data()
        assert kept == {key: 1}
        after = tables(path)
        assert after.keys() == before.keys()
        assert (after["accounts"], after["sessions"]) == (before["accounts"], before["sessions"])

        subject = text.replace("\0", "0")
        theirs = await ask(desk.start_session, subject)
        assert [session.id for session in await ask(desk.sessions, of=subject)] == [theirs.session.id]
        await ask(desk.disable, subject)
        assert await ask(desk.is_disabled, subject) is True
        assert not await ask(desk.authenticate, theirs.token)
        assert await ask(desk.authenticate, login.token), "nobody else is touched"
        await ask(desk.close)

    asyncio.run(story())


MAKE_A_STORE = """
import asyncio, inspect, os, sys
import coatcheck

async def story():
    desk = getattr(coatcheck, sys.argv[2])("sqlite:///" + sys.argv[1])
    made = desk.start_session("ada")
    if inspect.isawaitable(made):
        await made
    folder = os.path.dirname(sys.argv[1])
    print(*[oct(os.stat(os.path.join(folder, name)).st_mode & 0o777) for name in os.listdir(folder)])

os.umask(0)
asyncio.run(story())
"""


@pytest.mark.parametrize("desk", ["Coatcheck", "AsyncCoatcheck"])
def test_dat_05_a_file_made_by_a_desk_is_its_owners_alone_however_open_the_umask(desk: str, tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    told = subprocess.run(
        [sys.executable, "-c", MAKE_A_STORE, str(path), desk], check=True, capture_output=True, text=True
    ).stdout.split()

    assert len(told) >= 3, "the database, its log and the index of that"
    assert set(told) == {"0o600"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


WRITE = """
import sys
import coatcheck
from coatcheck.testing.patience import stores_wait

stores_wait()
desk = coatcheck.Coatcheck("sqlite:///" + sys.argv[1])
sys.stdin.readline()
for turn in range(100):
    login = desk.start_session(f"subject-{sys.argv[2]}-{turn}")
    desk.increment(login.session, "n")
    desk.increment(desk.authenticate(sys.argv[3]).session, "shared")
    desk.rotate(login.session)
"""


def test_dat_05_two_processes_that_write_at_once_lose_nothing_and_hear_of_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Coatcheck(f"sqlite:///{path}") as desk:
        shared = desk.start_session("shared")
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITE, str(path), str(number), shared.token.reveal()],
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        troubles = [writer.communicate()[1] for writer in writers]

        assert troubles == ["", ""], "a lock surfaced, or worse"
        sessions, _ = desk.all_sessions(limit=1000)
        assert sorted(str(session.data()) for session, _ in sessions) == ["{'n': 1}"] * 200 + ["{'shared': 200}"]


def test_tok_04_acc_05_what_must_be_unique_is_so_by_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Coatcheck(f"sqlite:///{path}") as desk:
        desk.sign_up(username="ada", email="ada@example.org", password=PASSWORD)
        desk.start_session("ada")

    with closing(sqlite3.connect(path)) as connection:
        unique = {
            (
                table,
                tuple(column for (column,) in connection.execute("SELECT name FROM pragma_index_info(?)", (index,))),
            )
            for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for (index,) in connection.execute(
                'SELECT name FROM pragma_index_list(?) WHERE "unique"', (table,)
            ).fetchall()
        }
        plan = str(connection.execute("EXPLAIN QUERY PLAN SELECT id FROM sessions WHERE digest = x'00'").fetchall())
    for wanted in (
        ("sessions", ("digest",)),
        ("sessions", ("id",)),
        ("accounts", ("username_key",)),
        ("accounts", ("email_key",)),
        ("subjects", ("subject",)),
    ):
        assert wanted in unique, f"{wanted} is not unique: {unique}"
    assert "SEARCH" in plan
    assert "SCAN" not in plan
