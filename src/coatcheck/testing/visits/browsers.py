# ruff: noqa: S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Who visits: browsers with a cookie jar that say where a request comes from, and the office that looks behind."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from coatcheck.colour import run_blocking
from coatcheck.core.identifiers import email_key, username_key
from coatcheck.core.records import AccountRecord, PasswordCredential
from coatcheck.core.views import Client
from coatcheck.facade import Coatcheck
from coatcheck.testing.logins import login_as
from coatcheck.testing.patience import PATIENCE, eventually
from coatcheck.testing.scene import PASSWORD, the_hasher
from coatcheck.testing.visits.house import Fields, Send, Stage

HOST = "app.example.org"
ORIGIN = f"https://{HOST}"
COOKIE = "__Host-coatcheck"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0"
OWN: Fields = (("Sec-Fetch-Site", "same-origin"),)
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")
NAVIGATION: Fields = (("Accept", "text/html,*/*;q=0.8"), ("Sec-Fetch-Dest", "document"))
AS_JSON: Fields = (("Accept", "application/json"),)


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The stable reason of a problem."""
        assert self.one("content-type") == "application/problem+json", (self.status, self.text)
        return str(self.json["reason"])

    def all(self, name: str) -> list[str]:
        """Give the values of a field."""
        return [value for found, value in self.headers if found == name]

    def one(self, name: str) -> str | None:
        """Give the value of a field that may stand once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def listed(self, name: str) -> set[str]:
        """Give the members of a field that is a list, in lower case."""
        return {member.strip().lower() for value in self.all(name) for member in value.split(",") if member.strip()}

    @property
    def cookies(self) -> dict[str, str]:
        """What the answer sets, by name: the value; "" where it takes the cookie away."""
        pairs = [cookie.partition(";")[0].partition("=") for cookie in self.all("set-cookie")]
        assert len({name for name, _, _ in pairs}) == len(pairs), "two Set-Cookie of one name (CKY-07)"
        return {name: value for name, _, value in pairs}

    def set_cookie(self, name: str = COOKIE) -> str:
        """Give the whole `Set-Cookie` of a cookie."""
        (cookie,) = (cookie for cookie in self.all("set-cookie") if cookie.startswith(f"{name}="))
        return cookie

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:80]!r}>"


class Premises:
    """A house that is open: the way in, what a story moves, and a desk that looks at the same store from behind."""

    def __init__(self, send: Send, stage: Stage, office: Coatcheck) -> None:
        self.stage = stage
        self.office = office
        self.origin = ORIGIN
        self.host = HOST
        self.cookie = COOKIE
        self._send = send

    def send(self, method: str, target: str, headers: Fields = (), body: bytes = b"") -> Answer:
        """Send exactly these fields, and Host unless it is among them."""
        names = {name.lower() for name, _ in headers}
        own = () if "host" in names else (("Host", self.host),)
        return Answer(*self._send(method, target, [*own, *headers], body))

    def account(self, username: str = "ada") -> str:
        """Open an account whose password is `PASSWORD`; give its subject."""
        subject, email, now = f"subject-of-{username}", f"{username}@example.org", self.stage.clock()
        record = AccountRecord(subject, username, username_key(username), email, email_key(email), now)
        credential = PasswordCredential(subject, the_hasher().hash(PASSWORD.encode()), 1, now)
        taken = run_blocking(self.office.flows.parts.store.create_account(record, credential, events=()))
        assert taken is None
        return subject

    def browser(self, jar: Mapping[str, str] | None = None) -> Browser:
        """Open a browser, with an empty jar."""
        return Browser(self, dict(jar or {}))

    def logged_in(self, username: str = "ada", **how: Any) -> Browser:
        """Open a browser in which the account is logged in."""
        login = login_as(self.office, f"subject-of-{username}", client=Client("127.0.0.1", FIREFOX), **how)
        return self.browser({self.cookie: login.token.reveal()})

    def await_touch(self, browser: Browser) -> None:
        """Wait until it is written that the browser's session was used now: that comes after the answer."""

        def is_touched() -> bool:
            visit = self.office.authenticate(browser.token, touch=False)
            return False if not visit else visit.session.record.last_seen_at == self.stage.clock()

        eventually(is_touched, "the session was not touched")

    @property
    def rows(self) -> int:
        """How many sessions are kept, live or not."""
        return len(self.office.all_sessions()[0])

    @property
    def is_clear(self) -> bool:
        """Whether nobody is logged in anywhere."""
        return all(death is not None for _, death in self.office.all_sessions()[0])


class Browser:
    """A cookie jar, and headers as a browser sends them from a page of the same origin."""

    def __init__(self, premises: Premises, jar: dict[str, str]) -> None:
        self.premises = premises
        self.jar = jar

    @property
    def token(self) -> str:
        """The session token in the jar."""
        return self.jar[self.premises.cookie]

    def copy(self) -> Browser:
        """Give a thief's copy of the jar."""
        return Browser(self.premises, dict(self.jar))

    def send(self, method: str, target: str, headers: Fields = OWN, body: bytes = b"") -> Answer:
        """Send a request with the cookies of the jar; keep those of the answer."""
        cookies = (("Cookie", "; ".join(f"{name}={value}" for name, value in self.jar.items())),) if self.jar else ()
        answer = self.premises.send(method, target, [("User-Agent", FIREFOX), *cookies, *headers], body)
        for name, value in answer.cookies.items():
            self.jar[name] = value
            if not value:
                del self.jar[name]
        return answer

    def get(self, target: str, headers: Fields = OWN) -> Answer:
        """Look at something."""
        return self.send("GET", target, headers)

    def post(self, target: str, fields: Mapping[str, object] | None = None, headers: Fields = OWN) -> Answer:
        """Post a JSON object."""
        return self.send("POST", target, [JSON, *headers], json.dumps(fields or {}).encode())

    def fill_in(self, target: str, fields: Mapping[str, str], headers: Fields = OWN) -> Answer:
        """Fill in the form of a page of ours and send it."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(target, [*headers, *NAVIGATION]).text)
        assert token, f"{target} has no form"
        body = urlencode({**fields, "csrf_token": token[1]}).encode()
        return self.send("POST", target, [FORM, *NAVIGATION, *headers], body)

    def who(self) -> str:
        """Ask who is logged in."""
        answer = self.get("/who")
        assert answer.status == 200, answer
        return answer.text

    def data(self) -> dict[str, Any]:
        """Read the session data."""
        answer = self.get("/data")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    def store(self, **values: object) -> Answer:
        """Set keys of the session data."""
        answer = self.post("/data", values)
        assert (answer.status, answer.text) == (200, "stored"), answer
        return answer


class Together:
    """Requests that are under way at the same time, each from a thread of its own."""

    def __init__(self, requests: Iterable[Callable[[], Answer]]) -> None:
        self.answers: list[Answer | BaseException | None] = []
        self._threads: list[threading.Thread] = []
        for request in requests:
            self.answers.append(None)
            self._threads.append(threading.Thread(target=self._run, args=(len(self.answers) - 1, request)))
        for thread in self._threads:
            thread.start()

    def _run(self, place: int, request: Callable[[], Answer]) -> None:
        try:
            self.answers[place] = request()
        except BaseException as error:  # noqa: BLE001 - told by `all`
            self.answers[place] = error

    def all(self) -> list[Answer]:
        """Wait for the answers."""
        for thread in self._threads:
            thread.join(PATIENCE)
        answers: list[Answer] = []
        for answer in self.answers:
            if not isinstance(answer, Answer):
                raise AssertionError(f"no answer: {answer!r}")
            answers.append(answer)
        return answers
