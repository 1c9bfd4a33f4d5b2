"""The door before an ASGI application: what the application finds, what the visitor gets, and what is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from coatcheck import Coatcheck, ConfigurationError, InvalidCredentials, NotAuthenticated
from coatcheck.asgi import CoatcheckMiddleware, Exemption
from coatcheck.asgi.messages import request_of
from coatcheck.core.audit import CrossSiteRefused, DuplicateCookie, Event
from tests.asgi.conftest import COOKIE, FORM, OWN, PASSWORD, House, answer, handler

Build = Callable[..., House]
JSON = ("accept", "application/json")


def put(**values: Any) -> Any:
    return handler(lambda _passage, session: session.update(values))


read = handler(lambda _passage, session: dict(session))
log_out = handler(lambda passage, _session: passage.log_out())


async def who(passage: Any, _session: Any) -> Any:
    visit = await passage.visit()
    return visit.subject if visit else visit.reason


# What an application need not notice


def test_ses_01_who_stores_nothing_gets_no_cookie_and_costs_no_step(house: House) -> None:
    told = house.get()

    assert (told.headers, told.body) == ([], b"hello")
    assert house.steps == []


def test_the_messages_of_an_application_that_asks_for_nobody_pass_as_they_are(house: House) -> None:
    house.logged_in()
    start = {"type": "http.response.start", "status": 200, "headers": [(b"X-Odd", b"\xff"), (b"Content-Length", b"2")]}
    rest = [
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b"},
        {"type": "http.response.trailers", "headers": [(b"x", b"y")]},
    ]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in (start, *rest):
            await send(message)

    house.app = app
    sent = house.get().sent

    assert sent == [start, *rest]
    assert sent[0] is start


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.pathsend", "path": "/srv/a"},
        {"type": "http.response.zerocopysend", "file": 3},
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.push", "path": "/a", "headers": []},
        {"type": "http.response.early_hint", "links": [b"</a>"]},
    ],
)
def test_extensions_pass(house: House, message: dict[str, Any]) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["extensions"] == {message["type"]: {}}
        await send(message)
        await answer(send)

    house.app = app

    assert house.get(extensions={message["type"]: {}}).sent[0] is message


def test_the_body_is_the_application_s(house: House) -> None:
    house.logged_in()
    got: list[Any] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        got.extend([await receive(), await receive(), await receive()])
        await answer(send)

    house.app = app
    house.post(body=[b"one", b"two"])

    assert [message.get("body") for message in got] == [b"one", b"two", None]


@pytest.mark.parametrize("status", [204, 301, 303, 304, 404])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_cookie_where_none_belongs(house: House, status: int, method: str) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send, b"", (b"location", b"/x"), status=status)

    house.app = app
    for logged_in in (False, True):
        if logged_in:
            house.logged_in()
        told = house.send(method)

        assert (told.status, told.headers[:1], told.cookies) == (status, [("location", "/x")], {})


def test_an_application_that_answers_nothing_is_the_server_s_business(house: House) -> None:
    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        scope["session"]["a"] = 1

    house.app = app

    assert house.get().sent == []
    assert house.data() == []


# Session data


def test_what_is_stored_is_there_the_next_time_however_deep_it_changes(house: House) -> None:
    house.app = put(cart={"coats": [1]})
    assert house.get().cookies.keys() == {COOKIE}
    house.app = handler(lambda _passage, session: session["cart"]["coats"].append(2))
    assert house.get().cookies == {}
    house.app = read

    assert house.get().json == {"cart": {"coats": [1, 2]}}


@pytest.mark.parametrize("status", [200, 204, 303, 304, 404, 500])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_hdr_02_what_is_stored_is_kept_whatever_the_answer_and_no_cache_has_it(
    house: House, status: int, method: str
) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["session"]["a"] = status
        await answer(send, b"", (b"cache-control", b"public, max-age=60"), status=status)

    house.app = app
    told = house.send(method)

    assert house.data() == [{"a": status}]
    assert told.all("cache-control") == ["no-store"]
    assert told.all("vary") == ["Cookie"]
    assert len(told.all("set-cookie")) == 1


@pytest.mark.parametrize(
    "look",
    [
        lambda _passage, session: session.get("a"),
        lambda _passage, session: "a" in session,
        lambda _passage, session: len(session),
        lambda _passage, session: bool(session),
        lambda _passage, session: list(session),
        lambda passage, _session: passage.visit(),
        lambda passage, _session: passage.account(),
        lambda passage, _session: passage.flashes(),
        lambda passage, _session: passage.csrf_token(),
    ],
)
def test_hdr_01_whoever_looks_makes_the_answer_personal(house: House, look: Any) -> None:
    house.logged_in()

    async def quietly(passage: Any, session: Any) -> None:
        told = look(passage, session)
        if hasattr(told, "__await__"):
            await told

    house.app = handler(quietly)
    told = house.get()

    assert told.all("cache-control") == ["private"]
    assert told.all("vary") == ["Cookie"]
    assert told.cookies == {}


def test_hdr_01_an_answer_that_may_look_while_it_streams_is_the_visitor_s_own(house: House) -> None:
    async def stream(scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"cache-control", b"public, max-age=60"), *scope.get("more", [])]
        await send({"type": "http.response.start", "status": scope.get("status", 200), "headers": headers})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        account = await scope["coatcheck"].account() if "late" in scope["path"] else None
        await send({"type": "http.response.body", "body": repr(account).encode()})

    house.app = stream
    assert house.get("/").all("cache-control") == ["public, max-age=60"], "nobody's"
    house.logged_in()

    for path in ("/late", "/"):
        told = house.get(path)
        assert (told.all("cache-control"), told.all("vary")) == (["private, max-age=60"], ["Cookie"])
    for known in ({"more": [(b"Content-Length", b"5")]}, {"status": 304}, {"status": 204}):
        assert house.send("GET", "/", **known).all("cache-control") == ["public, max-age=60"]


def test_a_prefix_that_nobody_gets_to_is_mentioned(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.send("GET", "/shop/x", root_path="/shop")

    assert 'say prefix="/shop/auth", the whole path' in caplog.text


def test_the_headers_of_an_answer_may_be_of_a_kind_that_is_read_once(house: House) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["session"].update(scope.get("more", {}))
        headers = iter([(b"x-one", b"1"), (b"content-length", b"0")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    house.app = app
    for more in ({}, {"a": 1}):
        told = house.send("GET", "/", more=more)
        assert (told.all("x-one"), told.all("content-length")) == (["1"], ["0"])


def test_ses_06_two_requests_that_change_two_keys_both_win(house: House) -> None:
    house.app = put(first=0)
    house.get()

    async def both() -> None:
        arrived = asyncio.Barrier(2)

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            scope["session"][scope["path"]] = 1
            await arrived.wait()
            await answer(send)

        house.app = app
        await asyncio.gather(house.visit("GET", "/one"), house.visit("GET", "/other"))

    house.run(both())

    assert house.data() == [{"first": 0, "/one": 1, "/other": 1}]


def test_ses_05_a_late_save_brings_no_session_back(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.logged_in()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["session"]["late"] = True
        await house.desk.log_out(house.jar[COOKIE])
        await answer(send)

    house.app = app
    with caplog.at_level(logging.INFO):
        told = house.get()
    house.app = handler(who)

    assert (told.status, told.cookies) == (200, {})
    assert "ended meanwhile" in caplog.text
    assert house.get().json == "logged_out"


def test_an_exception_that_leaves_the_application_saves_nothing(house: House) -> None:
    house.app = put(a=1)
    house.get()

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        scope["session"]["a"] = 2
        raise LookupError("a bug")

    house.app = app
    with pytest.raises(LookupError):
        house.get()

    assert house.data() == [{"a": 1}]


def test_what_changes_while_it_streams_or_in_the_background_is_kept(house: House) -> None:
    house.app = put(a=1)
    house.get()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for n in range(3):
            scope["session"]["streamed"] = n
            await send({"type": "http.response.body", "body": b".", "more_body": True})
        await send({"type": "http.response.body"})
        scope["session"]["later"] = True

    house.app = app
    told = house.get()

    assert told.body == b"..."
    assert house.data() == [{"a": 1, "streamed": 2, "later": True}]


def test_hdr_01_who_looks_only_when_the_answer_is_over_keeps_it_everybodys(house: House) -> None:
    house.logged_in()
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"x", "more_body": "counted" in scope["path"]})
        seen.append((await scope["coatcheck"].visit()).subject)

    house.app = app
    for path in ("/", "/counted"):
        told = house.get(path)

        assert (told.body, told.all("cache-control"), seen.pop()) == (b"x", [], "ada")


def test_what_a_stranger_stores_too_late_is_told_to_the_developer(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await answer(send)
        scope["session"]["a"] = 1

    house.app = app

    assert house.get().cookies == {}
    assert "after the answer had begun" in caplog.text
    assert house.data() == []


@pytest.mark.parametrize("trouble", ["not JSON", "store"])
def test_a_late_save_that_fails_is_logged_and_the_answer_stands(
    house: House, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    house.logged_in()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await answer(send, b"out")
        scope["session"]["b"] = object() if trouble == "not JSON" else 2
        house.fragile.broken = {"patch"} if trouble == "store" else set()

    house.app = app

    assert house.get().body == b"out"
    assert "was not kept" in caplog.text
    assert house.data() == [{"a": 1}]


DEEP: Any = []
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, float("nan"), (1, 2), b"x", {1}, 2**63, DEEP, "x" * 20_000, "\ud800"]
)
def test_ses_08_what_is_not_json_or_too_much_is_refused_whole(
    house: House, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    house.logged_in()
    house.app = put(old=1)
    house.get()
    house.app = put(other=2, secret_plan=value)
    told = house.get(headers=[("accept", "application/json")])

    assert told.status == 422
    assert told.json["reason"].startswith("data_")
    assert house.data() == [{"old": 1}]
    assert "session data was not kept: data_" in caplog.text


# Who is there


def test_err_01_a_store_that_is_down_is_503_before_the_application(house: House) -> None:
    house.logged_in()
    house.fragile.broken = {"find"}

    for method in ("GET", "POST"):
        assert house.send(method, headers=[OWN, ("accept", "application/json")]).status == 503
    assert house.entered == 0


def test_tok_05_a_cookie_that_cannot_be_ours_asks_no_store(house: House) -> None:
    house.fragile.broken = {"find"}
    house.app = handler(who)
    for value in ("x", "A" * 42, "A" * 44, "", '"' + "A" * 41 + '"'):
        house.jar[COOKIE] = value

        assert house.get().status == 200
    assert house.entered == 5


def test_err_01_a_store_that_cannot_save_takes_the_answer_s_place(house: House) -> None:
    house.logged_in()
    house.fragile.broken = {"patch"}
    house.app = put(a=1)
    told = house.get(headers=[("accept", "application/json")])

    assert (told.status, told.json["reason"]) == (503, "store_unavailable")
    assert len(told.sent) == 2


@pytest.mark.parametrize("raw", [
    "\u2000{name}={token}".encode(), b"\xa0{name}={token}", b"COATCHECK-DEV={token}", b'"{name}"={token}',
    b'{name}="{token}"', b"coatcheck%2ddev={token}", b"={name}={token}", b"{name}", b"$Version=1; {name} ={token}x",
])  # fmt: skip
def test_cky_08_cky_09_only_the_very_octets_are_a_cookie_of_ours(house: House, raw: bytes) -> None:
    house.logged_in()
    token = house.jar.pop(COOKIE)
    house.app = handler(who)
    header = raw.replace(b"{name}", COOKIE.encode()).replace(b"{token}", token.encode())

    assert house.get(headers=[("cookie", header)]).json in ("no_session", "unknown_session")


def test_cky_10_a_doubled_cookie_is_nobody_and_an_event(house: House) -> None:
    seen: list[Event] = []
    house.desk.on(DuplicateCookie, seen.append)
    house.logged_in()
    token = house.jar.pop(COOKIE)
    house.app = handler(who)
    one, other = f"{COOKIE}={token}", f"{COOKIE}={'A' * 43}"

    for pair in ((one, other), (other, one), (one, one)):
        for cookies in ([("cookie", "; ".join(pair))], [("cookie", cookie) for cookie in pair]):
            assert house.get(headers=cookies).json == "duplicate_cookie"
    assert len(seen) == 6


@pytest.mark.parametrize(("accept", "status"), [("text/html", 303), ("application/json", 401), ("*/*", 303)])
def test_hdr_10_a_stranger_goes_to_log_in_or_hears_401(house: House, accept: str, status: int) -> None:
    house.app = handler(lambda passage, _session: passage.require_session())
    told = house.get("/basket?n=1", headers=[("accept", accept)])

    assert told.status == status
    if status == 303:
        assert told.all("location") == ["/auth/login?next=%2Fbasket%3Fn%3D1"]
    else:
        assert told.all("www-authenticate") == ['Cookie realm="coatcheck"']


def test_a_refusal_after_the_answer_has_begun_is_the_server_s_business(house: House) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise NotAuthenticated

    house.app = app
    with pytest.raises(NotAuthenticated):
        house.get()


def test_a_due_touch_is_written_after_the_answer(house: House) -> None:
    house.logged_in()
    house.clock.move(61)
    house.steps.clear()
    order: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send)
        order.extend(house.steps)

    house.app = app
    house.get()

    assert order == ["find"]
    assert house.steps == ["find", "touch"]


# Identity


def test_fix_01_ses_02_log_in_and_out_inside_an_application(house: House) -> None:
    house.account()
    house.app = put(cart=1)
    house.get()
    planted = house.jar[COOKIE]

    async def log_in(passage: Any, session: Any) -> Any:
        await passage.log_in("ada", PASSWORD)
        session["after"] = 2
        return dict(session)

    house.app = handler(log_in)
    told = house.post()
    token = house.jar[COOKIE]
    house.app = handler(who)
    known = house.get().json
    house.app = log_out
    gone = house.post()

    assert told.json == {"cart": 1, "after": 2}
    assert token != planted
    assert len(known) == 22
    assert (gone.json, gone.all("cache-control"), house.jar.get(COOKIE)) == (True, ["no-store"], None)
    house.app = handler(who)
    for old in (planted, token):
        house.jar[COOKIE] = old
        assert house.get().json != known


def test_a_log_in_stays_when_the_request_is_refused_later(house: House) -> None:
    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        await scope["coatcheck"].start_session("ada")
        scope["session"]["lost"] = 1
        raise InvalidCredentials

    house.app = app
    told = house.post()

    assert told.status == 401
    assert house.jar[COOKIE] == told.cookies[COOKIE]
    assert house.data() == [{}]


def test_ses_11_no_get_logs_in(house: House) -> None:
    house.account()
    house.app = handler(lambda passage, _session: passage.log_in("ada", PASSWORD))

    assert house.get(headers=[("accept", "application/json")]).status == 405
    assert house.jar == {}


# Cross-site requests


@pytest.mark.parametrize(
    "evidence",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("referer", "https://evil.example/")],
        [],
    ],
)
def test_csr_02_csr_12_a_foreign_post_is_refused_before_body_and_application(house: House, evidence: Any) -> None:
    seen: list[Event] = []
    house.desk.on(CrossSiteRefused, seen.append)
    house.logged_in()
    house.steps.clear()
    told = house.post(headers=evidence, body=[b"x" * 65_536] * 160)

    assert told.status == 403
    assert len(told.left) == 161
    assert house.entered == 0
    assert len(seen) == 1
    assert house.steps == []


def test_csr_10_a_safe_method_is_not_judged(house: House) -> None:
    house.logged_in()
    for method in ("GET", "HEAD", "OPTIONS"):
        assert house.send(method, headers=[("sec-fetch-site", "cross-site")]).status == 200
    for method in ("TRACE", "PATCH", "get"):
        assert house.send(method, headers=[("sec-fetch-site", "cross-site")]).status == 403


def test_a_stranger_s_post_is_the_application_s_to_judge(house: House) -> None:
    assert house.post(headers=[], body=b"a=1").status == 200


def token_of(house: House) -> str:
    app, house.app = house.app, handler(lambda passage, _session: passage.csrf_token())
    token = house.get().json
    house.app = app
    return token


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    assert (await receive())["type"] == "http.disconnect"
    await answer(send, message["body"])


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_csr_12_a_form_s_token_is_read_and_the_body_given_on(house: House, chunk: int) -> None:
    house.logged_in()
    house.app = echo
    body = f"a=1&csrf_token={token_of(house)}&b=2".encode()
    told = house.post(headers=[FORM], body=[body[n : n + chunk] for n in range(0, len(body), chunk)])

    assert (told.status, told.body) == (200, body)


def test_csr_07_a_token_in_the_header_leaves_the_body_alone(house: House) -> None:
    house.logged_in()
    token = token_of(house)

    for content_type in ("multipart/form-data; boundary=x", "application/json", "application/x-www-form-urlencoded"):
        headers = [("x-csrf-token", token), ("content-type", content_type)]
        assert house.post(headers=headers, body=b"x").status == 200
    assert house.post(f"/?csrf_token={token}", headers=[FORM], body=b"a=1").status == 403


def test_csr_12_no_more_of_a_form_is_read_than_64_kib(house: House) -> None:
    house.logged_in()
    token = token_of(house)
    entered = house.entered
    told = house.post(headers=[FORM], body=[b"a=" + b"x" * 40_000] * 100 + [f"&csrf_token={token}".encode()])
    announced = house.post(headers=[FORM, ("content-length", "65537")], body=f"csrf_token={token}".encode())

    assert (told.status, len(told.left)) == (403, 100)
    assert (announced.status, len(announced.left)) == (403, 2)
    assert house.entered == entered


@pytest.mark.parametrize(
    "body", [b"a=%zz", b"csrf_token=a&csrf_token=b", b"csrf_token=%ff", b"a=1", b"\xff", b"&" * 200]
)
def test_err_04_a_form_that_cannot_be_read_has_no_token(house: House, body: bytes) -> None:
    house.logged_in()

    assert house.post(headers=[FORM, JSON], body=body).json["reason"] == "csrf_token_required"
    assert house.entered == 0


def test_a_visitor_who_hangs_up_amid_the_form_gets_no_answer(house: House) -> None:
    house.logged_in()
    house.app = echo

    async def hang_up() -> list[Any]:
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": b"a=", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await house.door(house.scope("POST", "/", [FORM]), receive, send)
        return sent

    assert house.run(hang_up()) == []
    assert house.entered == 0


def test_csr_14_an_exempt_path_takes_no_cookie_unless_told_so(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        house = build(
            csrf_exempt={
                "/hook": Exemption(reason="signed by the sender"),
                "/beacon": Exemption(reason="counts only", allow_cookie=True),
            }
        )
    house.logged_in()
    house.app = handler(who)

    assert house.post("/hook", headers=[]).json == "no_session"
    assert house.post("/beacon", headers=[]).json == "ada"
    assert house.post("/hook/", headers=[]).status == 403
    assert "csrf_exempt: requests to /hook need no evidence of their origin: signed by the sender" in caplog.text


def test_trusted_origins_may_act(build: Build) -> None:
    house = build(trusted_origins=["http://localhost:3000"])
    house.logged_in()
    fetched = ("sec-fetch-site", "same-site")

    assert house.post(headers=[("origin", "http://localhost:3000"), fetched]).status == 200
    assert house.post(headers=[("origin", "http://localhost:3001"), fetched]).status == 403


# Places


def test_our_pages_are_answered_under_the_prefix_and_nothing_else_is(build: Build) -> None:
    house = build(prefix="/members")
    house.desk.on(Event, lambda _event: None)

    assert b"<form" in house.get("/members/login").body
    assert house.get("/members/nowhere").status == 404
    assert house.get("/members").all("location") == ["/members/login"]
    assert house.entered == 0
    for path in ("/", "/membership", "/auth/login", "/members2/login"):
        assert house.get(path).body == b"hello"


def test_csr_12_a_request_is_judged_by_the_path_that_the_application_sees(build: Build) -> None:
    """A middleware may have made another one of it, and leave the raw one as it came."""
    house = build(csrf_exempt={"/v1/hook": Exemption(reason="signed by others", allow_cookie=True)})
    house.logged_in()

    assert house.send("POST", "/v1/hook").status == 200
    assert house.send("POST", "/do", raw_path=b"/v1/hook").status == 403
    assert house.send("POST", "/v1/hook", raw_path=b"/do").status == 200
    assert house.send("GET", "/auth/login", raw_path=b"/do").status == 303
    assert house.send("GET", "/do", raw_path=b"/auth/login").body == b"hello"


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"path": "/a/b", "raw_path": b"/a%2Fb"}, "/a%2Fb"),
        ({"path": "/a/b", "raw_path": b"/a%2Fb?x=%3F"}, "/a%2Fb"),
        ({"path": "/caf\u00e9", "raw_path": b"/caf%C3%A9"}, "/caf%C3%A9"),
        ({"path": "/caf\ufffd", "raw_path": b"/caf%E9"}, "/caf%E9"),
        ({"path": "/caf\u00e9", "raw_path": None}, "/caf%C3%A9"),
        ({"path": "/b", "raw_path": b"/a/%62", "root_path": "/a"}, "/a/%62"),
        ({"path": "/a/b", "raw_path": b"/a/%62", "root_path": "/a"}, "/a/%62"),
        ({"path": "/b", "raw_path": b"/c/b", "root_path": "/a"}, "/b"),
        ({"path": "/evil", "raw_path": b"//evil"}, "/evil"),
        ({"path": "", "raw_path": b""}, "/"),
        ({"path": "/a", "raw_path": b"http://localhost:8000/a"}, "/a"),
        ({"path": "/a?b", "raw_path": b"/a"}, "/a%3Fb"),
    ],
)
def test_the_path_is_the_raw_one_of_what_the_application_sees(house: House, scope: Any, path: str) -> None:
    assert request_of(house.scope("GET", "/") | scope, None).path == path  # type: ignore[arg-type]


def test_hst_01_a_host_that_is_not_ours_never_gets_in(house: House) -> None:
    for hosts, status in (([], 400), (["localhost", "localhost"], 400), (["evil.example"], 421)):
        scope = house.scope("GET", "/") | {"headers": [(b"host", host.encode()) for host in hosts]}

        assert call(house, scope)[0]["status"] == status
    assert house.entered == 0


def call(house: House, scope: Any) -> list[Any]:
    """Call the door with this very scope; give what it sent."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    house.run(house.door(scope, None, send))  # type: ignore[arg-type]
    return sent


def test_in_production_the_cookie_is_of_this_host_and_secure(build: Build) -> None:
    house = build(public_url="https://shop.example")
    house.app = put(a=1)
    (start, _) = call(house, house.scope("GET", "/") | {"headers": [(b"host", b"shop.example")]})
    cookie = dict(start["headers"])[b"set-cookie"].decode()

    assert cookie.startswith("__Host-coatcheck=")
    assert sorted(cookie.split("; ")[1:]) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]


def test_a_proxy_that_was_not_named_is_told_of_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        house.get(headers=[("x-forwarded-for", "192.0.2.1")])

    assert caplog.text.count("trusted_hops: is 0") == 1


def test_a_proxy_that_was_named_is_not(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    build(trusted_proxies=["127.0.0.1"], trusted_hops=1).get(headers=[("x-forwarded-for", "192.0.2.1")])

    assert caplog.records == []


# Settings


def test_err_03_all_mistakes_are_told_at_once(house: House) -> None:
    with pytest.raises(ConfigurationError) as told:
        CoatcheckMiddleware(
            house.door,
            house.desk,
            prefix="auth/",
            namespace="my shop",
            trusted_proxies=["everybody"],
            socket_seconds=90,
            colour="red",  # type: ignore[call-arg]
        )

    names = [problem.partition(":")[0] for problem in told.value.problems]
    assert names == ["trusted_proxies", "colour", "prefix", "namespace", "public_url", "socket_seconds"]


def test_a_desk_of_the_other_kind_is_refused(house: House) -> None:
    with pytest.raises(ConfigurationError, match=r"needs AsyncCoatcheck\(...\), not Coatcheck"):
        CoatcheckMiddleware(house.door, Coatcheck("memory://"), development=True)  # type: ignore[arg-type]


def lifespan(app: Any) -> list[Any]:
    sent: list[Any] = []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def live() -> None:
        await app({"type": "lifespan", "state": {}}, receive, send)

    try:
        asyncio.run(live())
    except ConfigurationError as error:
        sent.append(error)
    return sent


async def living(scope: Any, receive: Any, send: Any) -> None:
    scope["state"]["alive"] = True
    for _ in range(2):
        message = await receive()
        await send({"type": message["type"] + ".complete"})


def test_the_lifespan_passes_through(house: House) -> None:
    house.app = living

    assert [message["type"] for message in lifespan(house.door)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_two_doors_before_one_application_are_an_error_at_start(house: House) -> None:
    house.app = living
    twice = CoatcheckMiddleware(house.door, house.desk, development=True)
    failed, error = lifespan(twice)

    assert failed["type"] == "lifespan.startup.failed"
    assert "stands twice" in failed["message"]
    assert isinstance(error, ConfigurationError)
    house.door = twice
    with pytest.raises(ConfigurationError, match="stands twice"):
        house.get()


def test_another_session_middleware_before_it_is_an_error(house: House) -> None:
    with pytest.raises(ConfigurationError, match="another session middleware"):
        house.get(session={})


def test_a_scope_of_another_kind_passes(house: House) -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    house.app = app
    house.run(house.door({"type": "tcp"}, None, None))  # type: ignore[arg-type]

    assert seen == ["tcp"]


# Cancellation


def test_err_07_cancelled_at_any_await_it_is_before_or_after(build: Build) -> None:
    """The server gives up the request after each number of turns of the event loop."""
    outcomes = set()
    for turns in range(60):
        house = build()
        house.app = put(old=1)
        house.get()

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            await asyncio.sleep(0)
            await scope["coatcheck"].start_session("ada")
            scope["session"].update(one=1, other=2)
            await asyncio.sleep(0)
            await answer(send)

        async def give_up(house: House = house, turns: int = turns) -> bool:
            task = asyncio.ensure_future(house.visit("POST", "/", [OWN]))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            done = (await asyncio.gather(task, return_exceptions=True))[0]
            for _ in range(60):
                await asyncio.sleep(0)
            return isinstance(done, asyncio.CancelledError)

        house.app = app
        was_cancelled = house.run(give_up())
        sessions, _ = house.run(house.desk.all_sessions())
        live = [(session.subject, tuple(sorted(session.data()))) for session, ended in sessions if ended is None]
        outcomes.add((tuple(live), was_cancelled))

    assert {live for live, _ in outcomes} <= {
        ((None, ("old",)),),
        (("ada", ("old",)),),
        (("ada", ("old", "one", "other")),),
    }
    assert len({live for live, _ in outcomes}) > 1
    assert {was_cancelled for _, was_cancelled in outcomes} == {True, False}


def test_err_06_a_form_that_never_ends_is_answered(build: Build) -> None:
    house = build(body_seconds=0.05)
    house.logged_in()
    sent: list[Any] = []

    async def drip() -> Any:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    house.run(house.door(house.scope("POST", "/", [FORM, JSON]), drip, send))

    assert sent[0]["status"] == 408
    assert house.entered == 0
