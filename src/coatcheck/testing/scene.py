"""Who is there before operations meet, and what anybody can see after them.

Partner modules: `coatcheck.testing.interleaving`, which plays; `coatcheck.testing.operations`, what is played here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from coatcheck.core import throttle
from coatcheck.core.policy import make_policy
from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential
from coatcheck.core.views import Absent, Client, Login, Session
from coatcheck.crypto.hashing import PasswordHasher
from coatcheck.errors import InvalidCredentials
from coatcheck.facade import Coatcheck
from coatcheck.flows.data import Edit
from coatcheck.stores.protocols import Store
from coatcheck.testing.clock import START, MovableClock
from coatcheck.testing.interleaving import Stage

PASSWORD = "a long enough passphrase"
HERE = Client(ip="192.0.2.7", user_agent="Browser/1.0")
ELSEWHERE = Client(ip="198.51.100.9", user_agent="Browser/2.0")
DAY = 86_400
SECRET = bytes(range(32))
ADA, BOB = "subject-of-ada", "subject-of-bob"


class RememberingHasher(PasswordHasher):
    """Hashes and verifies for real, but each thing once: for thousands of plays with a handful of passwords."""

    def __init__(self) -> None:
        super().__init__(make_policy())
        self._hashed: dict[bytes, str] = {}
        self._verified: dict[tuple[str | None, bytes], bool] = {}

    def hash(self, password: bytes) -> str:
        """Hash a password; unlike with the real one, the second hash of it is the first."""
        if password not in self._hashed:
            self._hashed[password] = super().hash(password)
        return self._hashed[password]

    def verify(self, hashed: str | None, password: bytes) -> bool:
        """Say whether the password belongs to the hash."""
        question = (hashed, password)
        if question not in self._verified:
            self._verified[question] = super().verify(hashed, password)
        return self._verified[question]


@cache
def the_hasher() -> RememberingHasher:
    """Give the one that all scenes share."""
    return RememberingHasher()


class Live(NamedTuple):
    """A session as its token finds it."""

    session_id: str
    subject: str | None
    values: dict[str, object]
    auth_time: int | None
    last_seen_at: int
    expires_at: int
    methods: str


class Sight(NamedTuple):
    """What anybody can see when all is done. Two orders that leave the same sight have done the same.

    `tokens` are those there were before, by what the scene calls them, and those that players were given, by player:
    the live session, or why there is none. `tries_left` are the wrong passwords ada's name would still be allowed,
    `names` whose the names are that people sign up with, `events` how often each was kept, by session and subject.
    """

    tokens: Mapping[str, Live | str]
    standing: tuple[str, ...]
    password: PasswordCredential | None
    is_disabled: bool
    tries_left: int
    names: Mapping[str, str | None]
    events: Mapping[tuple[str, str | None, str | None], int]


class Scene:
    """Ada, logged in at two devices and once long ago; Bob, whom nothing of it concerns; a desk on a stage.

    `fill` puts them into an empty store. A copy of a filled store is as good: everything in it is predictable.
    """

    here: Login  # ada's session that operations speak of, remembered, its data {"theme": "dark", "visits": 1}
    there: Login  # ada's other device
    stale: Login  # ada's session that ran out of time, due to be purged
    bystander: Login  # bob's

    def __init__(self) -> None:
        self.stage = Stage()
        self.clock = MovableClock()
        self.desk = Coatcheck(self.stage.store, secret=SECRET, clock=self.clock, entropy=self.stage.entropy)
        self.flows = self.desk.flows
        self.flows.parts.colour = self.stage.colour
        self.flows.parts.hasher = the_hasher()

    def fill(self, store: Store) -> None:
        """Put everybody into an empty store and enter the stage with it. It is two days later then."""
        run = self.stage.run
        self.stage.enter(store)
        self.clock.now = START
        run(store.record([_event_of(ADA, at=START - 91 * DAY)]))
        for subject in (ADA, BOB):
            run(store.create_account(_account_of(subject), _password_of(subject), events=()))
        run(self._fail_to_log_in("nobody"))
        self.stale = run(self.log_in("ada"))
        self.here = run(self.log_in("ada", remember=True))
        self.there = run(self.log_in("ada", remember=True))
        self.bystander = run(self.log_in("bob", remember=True))
        run(self.edit(self.here.session, theme="dark", visits=1))
        self.clock.move(2 * DAY)

    async def log_in(
        self,
        name: str,
        password: str = PASSWORD,
        *,
        client: Client = HERE,
        remember: bool = False,
        replaces: Login | None = None,
    ) -> Login:
        """Log in as a visitor who shows the token of `replaces`."""
        token = None if replaces is None else replaces.token
        return await self.flows.log_ins.log_in(name, password, client=client, remember=remember, replaces=token)

    async def start(self, *, replaces: Login | None = None) -> Login:
        """Start a session of ada's, whose identity was proven elsewhere."""
        token = None if replaces is None else replaces.token
        return await self.flows.sessions.start(ADA, methods=(), client=HERE, remember=True, replaces=token)

    async def edit(self, session: Session, **values: object) -> None:
        """Change session data as the desk's `edit` does."""
        change = Edit(session, "app")
        change.values.update(values)
        puts, removes = change.patch()
        await self.flows.data.save(session, namespace="app", puts=puts, removes=removes)

    async def change_password(self, login: Login, new_password: str) -> Login:
        """Change ada's password from a session of hers."""
        return await self.flows.passwords.change(
            login.session, current_password=PASSWORD, new_password=new_password, client=HERE
        )

    def see(self, answers: Mapping[str, object]) -> Sight:
        """Look at everything, with each token there was before and each that was answered."""
        run, flows, store = self.stage.run, self.flows, self.stage.inner
        shown = {"here": self.here, "there": self.there, "stale": self.stale, "bystander": self.bystander}
        shown |= {who: answer for who, answer in answers.items() if isinstance(answer, Login)}
        events = run(store.events_of(None, after=None, limit=100)).events
        names = {name: run(flows.accounts.find(name)) for name in ("ada", "eve", "eve@example.org")}
        return Sight(
            tokens={name: self._look(login) for name, login in shown.items()},
            standing=tuple(sorted(session.id for session in run(flows.oversight.live_sessions(ADA)))),
            password=run(store.credential(ADA)),
            is_disabled=run(flows.accounts.is_disabled(ADA)),
            tries_left=self._tries_left(),
            names={name: None if account is None else account.subject for name, account in names.items()},
            events=Counter((event.name, event.session_id, event.subject) for event in events),
        )

    def _look(self, login: Login) -> Live | str:
        visit = self.stage.run(self.flows.sessions.authenticate(login.token, touch=False))
        if isinstance(visit, Absent):
            return visit.reason
        record = visit.session.record
        return Live(
            record.id,
            record.subject,
            visit.session.data(),
            record.auth_time,
            record.last_seen_at,
            record.expires_at,
            record.methods,
        )

    def _tries_left(self) -> int:
        gates = throttle.gates_of(["ada"], None, self.flows.parts.policy, now=self.clock())
        store, tries = self.stage.inner, 0
        while self.stage.run(store.admit(gates, subject=None, now=self.clock())) == 0:
            tries += 1
            failure = throttle.settlements_of(gates, "failure", at=self.clock())
            self.stage.run(store.settle(failure, account=None, events=()))
        return tries

    async def _fail_to_log_in(self, name: str) -> None:
        try:
            await self.log_in(name, client=ELSEWHERE)
        except InvalidCredentials:
            return


def _event_of(subject: str, *, at: int) -> EventRecord:
    return EventRecord(
        at=at,
        name="long_ago",
        subject=subject,
        session_id=None,
        ip=None,
        user_agent=None,
        request_id=None,
        details={},
    )


def _account_of(subject: str) -> AccountRecord:
    name = subject.removeprefix("subject-of-")
    return AccountRecord(subject, name, name, None, None, START)


def _password_of(subject: str) -> PasswordCredential:
    return PasswordCredential(subject, the_hasher().hash(PASSWORD.encode()), 1, START)
