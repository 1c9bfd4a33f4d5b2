"""A small world to visit: a desk over a real store, the web in front of it, and browsers with cookie jars.

Every story and attack goes through octets, as a server would hand them over: a request is headers and body chunks, an
answer is a status, headers and a body. A world stands on one of two desks (the blocking one without an event loop, the
async one behind the ASGI door), one of two stores, and in development or production mode.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from coatcheck import AsyncCoatcheck, Client, Coatcheck, StoreUnavailable
from coatcheck.asgi import CoatcheckASGI
from coatcheck.colour import Async, Blocking, HashingLane, Job, run_blocking
from coatcheck.core.identifiers import email_key, username_key
from coatcheck.core.records import AccountRecord, PasswordCredential
from coatcheck.crypto.entropy import system_entropy
from coatcheck.http.hosts import Site
from coatcheck.http.messages import Request, split_target
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.counting import NO_STEPS, Steps
from coatcheck.testing.scene import the_hasher
from coatcheck.web.app import Web
from coatcheck.web.mount import Mount

PASSWORD = "a long enough passphrase"
SECRET = bytes(range(7, 39))
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

Headers = Sequence[tuple[str | bytes, str | bytes]]


class Fragile:
    """A store that breaks at the methods named in `broken`, before they do anything, or has a bug at one."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.broken: set[str] = set()
        self.bug_at: str | None = None

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name in NO_STEPS or not callable(attribute):
            return attribute

        async def step(*args: Any, **kwargs: Any) -> Any:
            if self.bug_at in (name, "everywhere"):
                raise RuntimeError("a bug in a secret place, File secret.py line 7")
            if name in self.broken:
                raise StoreUnavailable(f"{name} is broken on purpose")
            return await attribute(*args, **kwargs)

        return step


class CountingLane(HashingLane):
    """The hashing lane, counting what is sent through it."""

    def __init__(self) -> None:
        super().__init__(queue=16, nice=0)
        self.hashed = 0

    def submit(self, work: Callable[[], Any]) -> Job[Any]:
        self.hashed += 1
        return super().submit(work)


class AsyncDesk(AsyncCoatcheck):
    """The async desk, with its hashing counted."""

    _colour = staticmethod(lambda policy: the_colour())

    def __init__(self, store: Store, **settings: Any) -> None:
        super().__init__(store, **settings)
        self.flows.parts.hasher = the_hasher()


class BlockingDesk(Coatcheck):
    """The blocking desk, with its hashing counted."""

    _colour = staticmethod(lambda policy: Blocking(the_lane()))

    def __init__(self, store: Store, **settings: Any) -> None:
        super().__init__(store, **settings)
        self.flows.parts.hasher = the_hasher()


@cache
def the_lane() -> CountingLane:
    return CountingLane()


@cache
def the_colour() -> Async:
    """One async colour for all worlds: each has a thread of its own for writing."""
    return Async(the_lane())


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    reads: int = 0
    """How often the body was asked for."""

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The stable reason of a problem."""
        assert self.one("content-type") == "application/problem+json", self.text
        return self.json["reason"]

    @property
    def location(self) -> str | None:
        return self.one("location")

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    @property
    def cookies(self) -> dict[str, str]:
        """What the reply sets, by name: the value; "" where it takes the cookie away."""
        pairs = [cookie.partition(";")[0].split("=", 1) for cookie in self.all("set-cookie")]
        assert len({name for name, _ in pairs}) == len(pairs), "two Set-Cookie of one name (CKY-07)"
        return dict(pairs)  # type: ignore[arg-type]

    @property
    def comparable(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """All that a visitor sees, for byte-equal answers."""
        return self.status, self.headers, self.body


@dataclass
class World:
    """One deployment."""

    colour: str
    inner: Store
    fragile: Fragile
    steps: Steps
    desk: Any
    site: Site
    clock: MovableClock
    lane: CountingLane
    prefix: str = ""
    templates: Path | None = None
    runner: asyncio.Runner | None = None
    trips: Steps = field(default_factory=Steps)
    """What the steps asked of the halves of a store that is made of two."""
    web: Web = field(init=False)

    def __post_init__(self) -> None:
        self.web = Web(Mount(self.desk, self.site, prefix=self.prefix, is_whole_site=True))
        self.door = CoatcheckASGI(self.web)

    @property
    def production(self) -> bool:
        return not self.site.development

    @property
    def host(self) -> str:
        return "login.example.org" if self.production else "localhost:8000"

    @property
    def origin(self) -> str:
        return f"https://{self.host}" if self.production else f"http://{self.host}"

    @property
    def cookie(self) -> str:
        return self.site.session_cookie.name

    @property
    def pre_cookie(self) -> str:
        return self.site.presession_cookie.name

    @property
    def device_cookie(self) -> str:
        return self.site.device_cookie.name

    def do(self, outcome: Any) -> Any:
        """Give the value of a desk's method, whichever desk it is."""
        return self.runner.run(outcome) if self.runner is not None else outcome

    def flow(self, coroutine: Any) -> Any:
        """Drive a coroutine of flows or stores."""
        return self.runner.run(coroutine) if self.runner is not None else run_blocking(coroutine)

    def account(self, username: str = "ada", *, password: str = PASSWORD) -> str:
        """Open an account, its password hashed once for all worlds; give its subject."""
        subject, email = f"subject-of-{username}", f"{username}@example.org"
        record = AccountRecord(subject, username, username_key(username), email, email_key(email), self.clock())
        credential = PasswordCredential(subject, the_hasher().hash(password.encode()), 1, self.clock())
        assert self.flow(self.inner.create_account(record, credential, events=())) is None
        return subject

    def browser(self, *, ip: str = "192.0.2.7", user_agent: str = FIREFOX) -> Browser:
        return Browser(self, ip, user_agent)

    def curl(self, *, ip: str = "192.0.2.8") -> Browser:
        """A client that sends no header a browser would."""
        return Browser(self, ip, "curl/8.14.1", is_browser=False)

    def logged_in(self, username: str = "ada", *, remember: bool = False, ip: str = "192.0.2.7") -> Browser:
        """A browser with a live session, started without the cost of a hash."""
        browser = self.browser(ip=ip)
        login = self.do(
            self.desk.start_session(
                f"subject-of-{username}", methods=("pwd",), client=Client(ip, FIREFOX), remember=remember
            )
        )
        browser.jar[self.cookie] = login.token.reveal()
        return browser

    def send(
        self,
        method: str,
        target: str,
        headers: Headers = (),
        body: bytes | Sequence[bytes] = b"",
        *,
        host: str | None = "",
        peer: str | None = "192.0.2.9",
    ) -> Answer:
        """Send exactly these headers (and a Host, unless None)."""
        own = [] if host is None else [("host", host or self.host)]
        octets = [(_octets(name), _octets(value)) for name, value in (*own, *headers)]
        chunks = [body] if isinstance(body, bytes) else list(body)
        if self.runner is not None:
            return self.runner.run(self.visit(method, target, octets, chunks, peer))
        return self._blocking(method, target, octets, chunks, peer)

    def at_once(self, *requests: Callable[[], Answer]) -> list[Answer]:
        """Send several at the same time, each from a thread of its own."""
        assert self.runner is None, "an event loop is shared with `visits_at_once` instead"
        with ThreadPoolExecutor(len(requests)) as pool:
            return [future.result() for future in [pool.submit(request) for request in requests]]

    async def visit(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], chunks: list[bytes], peer: str | None
    ) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": headers,
            "client": None if peer is None else (peer, 40_000),
        }
        answer, waiting = Answer(0, [], b""), list(chunks)

        async def receive() -> dict[str, Any]:
            answer.reads += 1
            chunk = waiting.pop(0) if waiting else b""
            return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [(name.decode("ascii"), value.decode("ascii")) for name, value in message["headers"]]
            else:
                answer.body += message["body"]

        await self.door(scope, receive, send)
        answer.headers = [header for header in answer.headers if header[0] != "content-length"]
        return answer

    def _blocking(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], chunks: list[bytes], peer: str | None
    ) -> Answer:
        target, _, query = target.partition("?")
        authority, path = split_target(target)
        answer = Answer(0, [], b"")

        async def read(limit: int) -> bytes:
            from coatcheck import BadRequest

            answer.reads += 1
            whole = b"".join(chunks)
            if len(whole) > limit:
                raise BadRequest("body_too_large", status=413)
            return whole

        request = Request(
            method=method,
            path=path,
            query=query,
            scheme="http",
            headers=tuple(headers),
            peer=peer,
            read=read,
            authority=authority,
        )
        reply, exchange = run_blocking(self.web.answer(request))
        run_blocking(self.web.finish(exchange))
        answer.status, answer.headers = reply.status, list(reply.headers)
        answer.body = b"" if method == "HEAD" else reply.body
        return answer

    def records(self) -> dict[str, Any]:
        """Everything a refused request must leave as it was: accounts, passwords, states and sessions."""

        async def dump() -> dict[str, Any]:
            inner = self.inner
            accounts = (await inner.scan_accounts(after=None, limit=1000)).accounts
            subjects = [account.subject for account in accounts]
            return {
                "accounts": accounts,
                "hashes": [(await inner.credential(subject)).hash for subject in subjects],  # type: ignore[union-attr]
                "states": dict(await inner.states_of(subjects)),
                "sessions": (await inner.scan_sessions(after=None, limit=1000)).sessions,
            }

        return self.flow(dump())

    def events(self, name: str | None = None) -> list[Any]:
        """The kept events, oldest first."""
        page = self.flow(self.inner.events_of(None, after=None, limit=1000))
        return [event for event in reversed(page.events) if name in (None, event.name)]


@dataclass
class Browser:
    """A client with a cookie jar; follows nothing by itself."""

    world: World
    ip: str
    user_agent: str
    is_browser: bool = True
    jar: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, target: str, headers: Headers = (), body: bytes | Sequence[bytes] = b"") -> Answer:
        """Send, with the jar's cookies and nothing else of its own but the User-Agent; keep the cookies set."""
        answer = self.world.send(method, target, [*self.own_headers(), *headers], body, peer=self.ip)
        self.keep(answer)
        return answer

    def own_headers(self) -> list[tuple[str, str]]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        return [("user-agent", self.user_agent), *([("cookie", cookies)] if cookies else [])]

    def keep(self, answer: Answer) -> None:
        for name, value in answer.cookies.items():
            if value:
                self.jar[name] = value
            else:
                self.jar.pop(name, None)

    def get(self, target: str, headers: Headers = ()) -> Answer:
        return self.send("GET", target, headers)

    def evidence(self) -> list[tuple[str, str]]:
        """What says that a request comes from our own page."""
        return [("origin", self.world.origin), ("sec-fetch-site", "same-origin")] if self.is_browser else []

    def call(self, method: str, target: str, document: Any = None, headers: Headers = ()) -> Answer:
        """A JSON call; a client that is no browser fetches a token first where a cookie of ours would decide."""
        own: list[tuple[str, str]] = [*self.evidence()]
        body = b""
        if document is not None:
            own.append(("content-type", "application/json"))
            body = json.dumps(document).encode()
        if not self.is_browser and method != "GET" and self.jar:
            own.append(("x-csrf-token", self.get("/api/csrf").json["csrf_token"]))
        return self.send(method, target, [*own, *headers], body)

    def token_on(self, page: str) -> str:
        """The CSRF token of the forms on a page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, f"{page} has no form"
        return found[1]

    def post(self, target: str, fields: dict[str, str], *, page: str | None = None, token: str | None = None) -> Answer:
        """Fill in the form on a page (that of the same address, unless told) and send it."""
        token = self.token_on(page or target) if token is None else token
        body = urlencode({**fields, "csrf_token": token}).encode()
        return self.send("POST", target, [*self.evidence(), FORM], body)

    def log_in(self, identifier: str = "ada", password: str = PASSWORD, **fields: str) -> Answer:
        """Log in by the page."""
        return self.post("/login", {"identifier": identifier, "password": password, **fields})

    def me(self) -> Answer:
        return self.get("/api/me")

    @property
    def token(self) -> str:
        """The session token in the jar."""
        return self.jar[self.world.cookie]

    def copy(self) -> Browser:
        """A thief's copy of the jar."""
        return Browser(self.world, "198.51.100.66", "thief/1.0", self.is_browser, dict(self.jar))


FORM = ("content-type", "application/x-www-form-urlencoded")


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def make_world(colour: str, url: str, sessions: str | None = None, *, production: bool, **settings: Any) -> World:
    lane = the_lane()
    its_colour = the_colour() if colour == "async" else Blocking(lane)
    inner, trips = open_store(url, its_colour), Steps()
    if sessions is not None:
        beside = open_store(sessions, its_colour, holds_accounts=False)
        inner = ApartStore(trips.of(inner, "accounts"), trips.of(beside, "sessions"))
    fragile, steps = Fragile(inner), Steps()
    clock = MovableClock()
    maker = AsyncDesk if colour == "async" else BlockingDesk
    site_settings = settings.pop("site", {})
    prefix = settings.pop("prefix", "")
    desk = maker(
        steps.of(cast(Store, fragile)),
        secret=SECRET,
        profile="standard",
        settings=settings or None,
        clock=clock,
        entropy=system_entropy,
    )
    site = Site.configure(
        **({"public_url": "https://login.example.org"} if production else {"development": True}), **site_settings
    )
    runner = asyncio.Runner() if colour == "async" else None
    world = World(colour, inner, fragile, steps, desk, site, clock, lane, prefix=prefix, runner=runner, trips=trips)
    lane.hashed = 0
    return world


@pytest.fixture
def build(tmp_path: Path, urls_of: Callable[[str], tuple[str, ...]]) -> Iterator[Callable[..., World]]:
    """Make a world of a kind: `build("async", "memory", production=True)`. Worlds share a server's database."""
    worlds: list[World] = []

    def make(colour: str = "async", store: str = "memory", *, production: bool = True, **settings: Any) -> World:
        folder = tmp_path / str(len(worlds))
        folder.mkdir()
        urls = (f"sqlite:///{folder}/coatcheck.db",) if store == "sqlite" else urls_of(store)
        worlds.append(make_world(colour, *urls, production=production, **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        world.fragile.broken, world.fragile.bug_at = set(), None
        world.do(world.desk.close())
        world.web.mount.release_host()  # a test that failed keeps its world alive
        if world.runner is not None:
            world.runner.close()


KINDS = {
    "async-memory-production": ("async", "memory", True),
    "blocking-memory-development": ("blocking", "memory", False),
    "async-sqlite-development": ("async", "sqlite", False),
    "blocking-sqlite-production": ("blocking", "sqlite", True),
}


# For what is told over every store (`test_steps`, `test_story`).
ALL_KINDS = {
    **KINDS,
    "async-postgres-production": ("async", "postgres", True),
    "blocking-postgres-development": ("blocking", "postgres", False),
    "async-redis-development": ("async", "redis", False),
    "blocking-redis-production": ("blocking", "redis", True),
    "async-apart-production": ("async", "apart", True),
    "blocking-far-apart-development": ("blocking", "far apart", False),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def world(request: pytest.FixtureRequest, build: Callable[..., World]) -> World:
    """Each desk, each store, each mode, in four combinations."""
    colour, store, production = request.param
    return build(colour, store, production=production)


@pytest.fixture
def one(build: Callable[..., World]) -> World:
    """One world, for what no store and no desk has a part in."""
    return build()
