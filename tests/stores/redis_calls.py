"""Every method of a store, called once, and servers that tests may spoil."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coatcheck import (
    ConfigurationError,
)
from coatcheck.core.throttle import Settlement
from coatcheck.stores.protocols import Cutoffs, Store
from coatcheck.stores.redis.store import RedisStore
from coatcheck.testing.driving import Driver
from coatcheck.testing.samples import (
    DAY,
    NOW,
    a_digest,
    a_gate,
    a_lock,
    a_password,
    a_rotation,
    a_session,
    admit,
    an_account,
    an_event,
    change_password,
    fail,
    put,
    raise_epoch,
    start,
    started,
)
from coatcheck.testing.servers import Missing, ValkeyServer
from tests.conftest import missing
from tests.stores.keyspace import client_of

replace = msgspec.structs.replace
KEPT = {"appendonly": "yes", "appendfsync": "always"}
FAR = Cutoffs(NOW + 9 * DAY, NOW + 9 * DAY, NOW + 9 * DAY)


@contextmanager
def own_server(program: Path | None = None, **settings: str) -> Iterator[ValkeyServer]:
    try:
        server = ValkeyServer(program, settings={name.replace("_", "-"): value for name, value in settings.items()})
    except Missing as error:
        missing(str(error))
    else:
        with server:
            yield server


@contextmanager
def opened(url: str, driver: Driver) -> Iterator[RedisStore]:
    store = RedisStore(url, driver.colour)
    yield store
    driver.run(store.close())


def refusal_of(url: str, driver: Driver) -> str:
    """Open a store that cannot be used; give the words in which that is told."""
    with opened(url, driver) as store, pytest.raises(ConfigurationError) as caught:
        driver.run(store.ready())
    return str(caught.value)


def told(url: str, *command: Any) -> Any:
    with client_of(url) as client:
        return client.execute_command(*command)


READS: dict[str, Callable[[Store], Any]] = {
    "find": lambda store: store.find(a_digest(1)),
    "find_by_id": lambda store: store.find_by_id(a_session(1).id),
    "sessions_of": lambda store: store.sessions_of("ada"),
    "scan_sessions": lambda store: store.scan_sessions(after=None, limit=9),
    "states_of": lambda store: store.states_of(["ada", "bob"]),
    "identify": lambda store: store.identify("ada"),
    "account": lambda store: store.account("ada"),
    "credential": lambda store: store.credential("ada"),
    "scan_accounts": lambda store: store.scan_accounts(after=None, limit=9),
    "events_of": lambda store: store.events_of("ada", after=None, limit=9),
    "all events": lambda store: store.events_of(None, after=None, limit=9),
    "ready": lambda store: store.ready(),
}
WRITES: dict[str, Callable[[Store], Any]] = {
    "start": lambda store: start(
        store,
        a_session(9),
        replaces=a_digest(3),
        most=1,
        settlements=[Settlement(a_gate(), "success", NOW)],
        events=[an_event()],
        eviction=an_event(),
    ),
    "touch": lambda store: store.touch(a_digest(1), seen_at=NOW + 60),
    "patch": lambda store: put(store, a_digest(1), b=b"2"),
    "increment": lambda store: store.increment(a_digest(1), namespace="app", key="n", by=1, limit=999),
    "rotate": lambda store: store.rotate(a_rotation(a_session(1), 9), events=[an_event()]),
    "end": lambda store: store.end(a_digest(1), at=NOW, reason="logged_out", events=[an_event()]),
    "end_by_id": lambda store: store.end_by_id(
        a_session(1).id, subject="ada", at=NOW, reason="revoked", events=[an_event()]
    ),
    "raise_epoch": lambda store: raise_epoch(store, keep=a_rotation(a_session(1), 9), events=[an_event()]),
    "raise_everybody": lambda store: store.raise_everybody(at=NOW, reason="x", events=[an_event()]),
    "enable": lambda store: store.enable("eve", events=[an_event()]),
    "admit": lambda store: admit(store, [a_gate("new"), a_gate("other")], subject="ada"),
    "settle": lambda store: store.settle([Settlement(a_gate(), "failure", NOW)], account="ada", events=[an_event()]),
    "create_account": lambda store: store.create_account(
        an_account("carol", username="carol", email="c@example.org"), a_password("carol"), events=[an_event()]
    ),
    "replace_password": lambda store: store.replace_password(a_password(version=2), was=1),
    "rehash": lambda store: store.rehash("ada", was="$hash$1", new="$better"),
    "change_password": lambda store: change_password(store, keep=a_rotation(a_session(1), 9)),
    "delete_account": lambda store: store.delete_account("ada", counters=[a_gate().key], events=[an_event()]),
    "record": lambda store: store.record([an_event()]),
    "purge": lambda store: store.purge(FAR, after=None, limit=99),
}


async def lived_in(store: Store) -> None:
    """Leave something for each of the calls above to find."""
    await store.create_account(an_account(email="ada@example.org"), a_password(), events=[an_event()])
    for number, subject in ((1, "ada"), (2, "ada"), (3, None), (4, "bob")):
        await started(store, number, subject=subject)
        await put(store, a_digest(number), a=b"1")
    await raise_epoch(store, "eve", disabled_at=NOW)
    await fail(store, a_gate())
    await fail(store, a_lock())


def clients_at(url: str) -> int:
    """Count who is connected to a database, without who asks."""
    return told(url, "CLIENT", "LIST", "TYPE", "normal").decode().count(f" db={url.rpartition('/')[2]} ") - 1


@contextmanager
def answering(words: bytes | None, *, after: float = 0.0, heard: list[bytes] | None = None) -> Iterator[int]:
    """A peer that answers whatever it hears with the same words, or never."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while not over.is_set():
                said = connection.recv(65536)
                if not said:
                    return
                if heard is not None:
                    heard.append(said)
                if over.wait(after):
                    return
                if words is not None:
                    connection.sendall(words)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
