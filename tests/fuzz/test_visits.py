"""Two browsers, three names and any cookie ever seen: nobody is let in by a token that is dead.

A state machine signs up, logs in and out, revokes, changes passwords and proves identity again over HTTP, in any order,
while time passes and browsers show cookies that were stolen, revoked, replaced or made up. The model is a dictionary:
each token that was ever issued, whose it is, and whether it lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from coatcheck.core.policy import STANDARD
from tests.fuzz.conftest import CHEAP, SECONDS, SEED
from tests.web.conftest import Answer, World, make_world

NAMES = st.sampled_from(["ada", "bob", "eve"])
PASSWORDS = st.sampled_from([f"a long enough passphrase, the {number}." for number in ("first", "second", "third")])
BROWSERS = st.sampled_from([0, 1])
WAITS = st.sampled_from([1, 59, 299, 301, 1800, 3600])
FOR_CROWDS = {"account_free_failures": 100, "network_free_failures": 1000, "network_free_sign_ups": 1000}


@dataclass
class Session:
    """What the model knows of a session: whose it is, when it began and when its owner last proved who they are."""

    name: str
    began: int
    auth_time: int
    token: str


class Visits(RuleBasedStateMachine):
    """The model beside the server."""

    make: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.make()
        self.world.desk.flows.parts.hasher = CHEAP
        self.browsers = [self.world.browser(ip="192.0.2.7"), self.world.browser(ip="2001:db8::7")]
        self.passwords: dict[str, str] = {}
        self.live: dict[str, Session] = {}
        self.dead: list[str] = []
        self.ever: list[str] = []

    # What happens

    @rule(browser=BROWSERS, name=NAMES, password=PASSWORDS)
    def sign_up(self, browser: int, name: str, password: str) -> None:
        answer = self.call(browser, "POST", "/api/signup", {"username": name, "password": password})

        assert answer.status == (409 if name in self.passwords else 201)
        self.passwords.setdefault(name, password)

    @rule(browser=BROWSERS, name=NAMES, password=PASSWORDS, remember=st.booleans(), by_page=st.booleans())
    def log_in(self, browser: int, name: str, password: str, remember: bool, by_page: bool) -> None:
        shown, before = self.browsers[browser], self.session_of(browser)
        if by_page:
            fields = {"identifier": name, "password": password, **({"remember": "on"} if remember else {})}
            token = shown.token_on("/login") if before is None else shown.token_on("/account")
            answer = shown.post("/login", fields, token=token)
        else:
            document = {"identifier": name, "password": password, "remember": remember}
            answer = self.call(browser, "POST", "/api/login", document)

        if self.passwords.get(name) != password:
            assert answer.status == 401
            return
        assert answer.status == (303 if by_page else 200)
        self.end(before)
        self.begin(shown.token, name)

    @rule(browser=BROWSERS)
    def log_out(self, browser: int) -> None:
        before = self.session_of(browser)

        assert self.call(browser, "POST", "/api/logout").status == 204

        self.end(before)
        assert self.world.cookie not in self.browsers[browser].jar

    @rule(browser=BROWSERS, password=PASSWORDS)
    def reauthenticate(self, browser: int, password: str) -> None:
        before = self.session_of(browser)
        answer = self.call(browser, "POST", "/api/reauthenticate", {"password": password})

        if before is None or self.passwords[before.name] != password:
            assert answer.status == 401
        else:
            assert answer.status == 204
            self.rotate(before, browser)

    @rule(browser=BROWSERS, password=PASSWORDS, new=PASSWORDS)
    def change_password(self, browser: int, password: str, new: str) -> None:
        before = self.session_of(browser)
        document = {"current_password": password, "new_password": new}
        answer = self.call(browser, "POST", "/api/password/change", document)

        if before is None or self.passwords[before.name] != password:
            assert answer.status == 401
        else:
            assert answer.status == 204
            self.passwords[before.name] = new
            self.end(*(one for one in self.sessions_of(before.name) if one is not before))
            self.rotate(before, browser)

    @rule(browser=BROWSERS, number=st.integers(0, 5))
    def revoke_one(self, browser: int, number: int) -> None:
        before = self.session_of(browser)
        listed = self.call(browser, "GET", "/api/sessions")
        if before is None:
            assert listed.status == 401
            return
        sessions = listed.json["sessions"]
        assert len(sessions) == len(self.sessions_of(before.name))
        assert [one["current"] for one in sessions].count(True) == 1
        chosen = sessions[number % len(sessions)]
        answer = self.call(browser, "DELETE", f"/api/sessions/{chosen['id']}")

        if chosen["current"]:
            assert answer.status == 204
            self.end(before)
        elif self.is_fresh(before):
            assert answer.status == 204
            gone = [one for one in self.sessions_of(before.name) if self.status_of(one.token) == 401]
            assert len(gone) == 1
            self.end(*gone)
        else:
            assert (answer.status, answer.reason) == (401, "insufficient_user_authentication")

    @rule(browser=BROWSERS, this_one_too=st.booleans())
    def revoke_many(self, browser: int, this_one_too: bool) -> None:
        before = self.session_of(browser)
        answer = (
            self.call(browser, "DELETE", "/api/sessions")
            if this_one_too
            else self.call(browser, "POST", "/api/sessions/revoke-others")
        )

        if before is None or not self.is_fresh(before):
            assert answer.status == 401
            return
        assert answer.status == (204 if this_one_too else 200)
        self.end(*(one for one in self.sessions_of(before.name) if this_one_too or one is not before))

    @rule(seconds=WAITS)
    def time_passes(self, seconds: int) -> None:
        self.world.clock.move(seconds)
        # How long a session lives is other tests' matter: the model follows, and what has died stays dead.
        for session in list(self.live.values()):
            if self.world.clock() >= session.began + STANDARD.idle_timeout and self.status_of(session.token) == 401:
                self.end(session)

    # What browsers show

    @precondition(lambda self: self.ever)
    @rule(browser=BROWSERS, data=st.data())
    def show_an_old_cookie(self, browser: int, data: st.DataObject) -> None:
        self.browsers[browser].jar[self.world.cookie] = data.draw(st.sampled_from(self.ever))

    @rule(browser=BROWSERS, text=st.text("Aa0_-", min_size=42, max_size=44) | st.sampled_from(["", "x", "=" * 43]))
    def show_a_made_up_cookie(self, browser: int, text: str) -> None:
        self.browsers[browser].jar[self.world.cookie] = text

    @rule(browser=BROWSERS, page=st.sampled_from(["/", "/login", "/signup", "/account", "/logout", "/reauthenticate"]))
    def look(self, browser: int, page: str) -> None:
        who = self.session_of(browser)
        answer = self.browsers[browser].get(page)

        assert answer.status in (200, 303)
        assert who is not None or page in ("/login", "/signup", "/logout") or answer.location is not None
        # A page may take a dead cookie away, and never a live one.
        assert who is None or self.session_of(browser) is who

    @precondition(lambda self: self.ever)
    @rule(data=st.data())
    def show_two_cookies(self, data: st.DataObject) -> None:
        """CKY-10: two session cookies are nobody, whatever they are and whoever would be let in by either."""
        two = [data.draw(st.sampled_from(self.ever)) for _ in range(2)]
        cookie = "; ".join(f"{self.world.cookie}={token}" for token in two)

        assert self.world.send("GET", "/api/me", [("cookie", cookie)]).status == 401

    # What must hold

    @invariant()
    def nobody_is_let_in_by_a_dead_token(self) -> None:
        assert [token for token in self.dead if self.status_of(token) != 401] == []

    @invariant()
    def everybody_is_let_in_by_a_live_one_as_who_they_are(self) -> None:
        for token, session in self.live.items():
            answer = self.me(token)
            assert answer.status == 200
            assert answer.json["account"]["username"] == session.name

    # The model

    def call(self, browser: int, method: str, path: str, document: Mapping[str, object] | None = None) -> Answer:
        answer = self.browsers[browser].call(method, path, document)
        assert answer.status < 500
        return answer

    def me(self, token: str) -> Answer:
        return self.world.send("GET", "/api/me", [("cookie", f"{self.world.cookie}={token}")])

    def status_of(self, token: str) -> int:
        return self.me(token).status

    def session_of(self, browser: int) -> Session | None:
        return self.live.get(self.browsers[browser].jar.get(self.world.cookie, ""))

    def sessions_of(self, name: str) -> list[Session]:
        return [one for one in self.live.values() if one.name == name]

    def is_fresh(self, session: Session) -> bool:
        return self.world.clock() < session.auth_time + STANDARD.step_up_lifetime

    def begin(self, token: str, name: str) -> None:
        assert token not in self.ever
        now = self.world.clock()
        self.live[token] = Session(name, now, now, token)
        self.ever.append(token)

    def end(self, *sessions: Session | None) -> None:
        for session in sessions:
            if session is not None:
                del self.live[session.token]
                self.dead.append(session.token)

    def rotate(self, session: Session, browser: int) -> None:
        self.end(session)
        self.begin(self.browsers[browser].token, session.name)
        self.live[self.browsers[browser].token].began = session.began

    def teardown(self) -> None:
        self.world.do(self.world.desk.close())
        if self.world.runner is not None:
            self.world.runner.close()


@contextmanager
def worlds(colour: str, store: str) -> Iterator[type[Visits]]:
    """The machine on a desk of this colour over a store of this kind, each time a new one."""
    with TemporaryDirectory() as folder:
        count = 0

        def make() -> World:
            nonlocal count
            count += 1
            place = Path(folder, str(count))
            place.mkdir()
            url = "memory://" if store == "memory" else f"sqlite:///{place}/app.db"
            return make_world(colour, url, production=False, **FOR_CROWDS)

        yield type("Visits", (Visits,), {"make": staticmethod(make)})


@pytest.mark.timeout(600)  # a failure is worth the minutes that it takes to make it short
def test_no_order_of_calls_lets_anybody_in_by_a_dead_token() -> None:
    with worlds("blocking", "memory") as machine:
        run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=25))


@pytest.mark.long
@pytest.mark.timeout(SECONDS * 60 + 300)
@pytest.mark.parametrize(("colour", "store"), [("blocking", "memory"), ("async", "sqlite")])
def test_no_long_order_of_calls_lets_anybody_in_by_a_dead_token(colour: str, store: str) -> None:
    with worlds(colour, store) as machine:
        start = seed(SEED)(machine)
        run_state_machine_as_test(start, settings=settings(max_examples=int(5 * SECONDS), stateful_step_count=60))
    print(f"{int(5 * SECONDS)} runs of up to 60 steps, seed {SEED}")
