"""WebSockets: judged before they are accepted, with the session of the handshake, and over when that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from coatcheck import NotAuthenticated
from coatcheck.asgi import Exemption
from coatcheck.core.audit import CrossSiteRefused, Event
from tests.asgi.conftest import COOKIE, OWN, House

Build = Callable[..., House]
DENIAL = {"websocket.http.response": {}}


class Ticks:
    """What waits between two looks at a session: until the test says so."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self.asked: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        event = asyncio.Event()
        self.waiting.put_nowait(event)
        await event.wait()

    async def tick(self) -> None:
        """Let one look begin. What it finds may end the socket, and then no other is waited for."""
        (await self.waiting.get()).set()

    async def look(self) -> None:
        """Let one look happen that changes nothing, and return when the next is waited for."""
        await self.tick()
        self.waiting.put_nowait(await self.waiting.get())


class Socket:
    """A visitor's side of one socket."""

    def __init__(self, house: House, headers: Any = (OWN,), **more: Any) -> None:
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        scope = house.scope("GET", "/ws", headers, type="websocket", scheme="ws", subprotocols=[], **more)
        del scope["method"]
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(house.door(scope, self.incoming.get, self.sent.put))

    def say(self, text: str) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self) -> Any:
        """Give the next message from the server; the application's own error, if it ended with one."""
        told = asyncio.ensure_future(self.sent.get())
        await asyncio.wait({told, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            told.cancel()
            return await self.task or None
        return told.result()

    async def end(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.task


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that accepts, and says back what it hears, with who is there."""
    assert (await receive())["type"] == "websocket.connect"
    visit = await scope["coatcheck"].visit()
    scope["session"]["seen"] = True
    await send({"type": "websocket.accept", "headers": [(b"x-own", b"1")], "subprotocol": None})
    while (message := await receive())["type"] == "websocket.receive":
        if message["text"] == "store":
            scope["session"]["later"] = 1
        await send({"type": "websocket.send", "text": f"{visit.subject if visit else None}: {message['text']}"})
    scope["last"].append(message)


async def conversation(house: House, work: Callable[..., Any], headers: Any = (OWN,), **more: Any) -> Any:
    last: list[Any] = []
    socket = Socket(house, headers, last=last, **more)
    try:
        return await work(socket)
    finally:
        if not socket.task.done():
            await socket.end()
        more.setdefault("seen", last)


async def denied(socket: Socket) -> list[Any]:
    sent = []
    while (message := await socket.hear()) is not None:
        sent.append(message)
    return sent


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def house(build: Build, ticks: Ticks) -> House:
    made = build(sleep=ticks.sleep, trusted_origins=["http://localhost:3000"])
    made.app = echo
    return made


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("origin", "null")],
        [("origin", "https://evil.example")],
        [("origin", "http://localhost:8001")],
        [("origin", "http://localhost:8000/")],
        [("origin", "https://localhost:8000")],
        [("origin", ""), ("sec-fetch-site", "same-origin")],
        [("sec-fetch-site", "same-origin")],
        [("referer", "http://localhost:8000/")],
    ],
)
def test_csr_13_a_cookie_without_an_origin_of_ours_is_never_accepted(house: House, headers: Any) -> None:
    seen: list[Event] = []
    house.desk.on(CrossSiteRefused, seen.append)
    house.logged_in()
    house.steps.clear()

    assert house.run(conversation(house, denied, headers)) == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    start, body = house.run(conversation(house, denied, headers, extensions=DENIAL))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert body["type"] == "websocket.http.response.body"
    assert (house.entered, len(seen), house.steps) == (0, 2, [])


def test_csr_13_a_doubled_origin_is_refused(house: House) -> None:
    house.logged_in()

    start, _ = house.run(conversation(house, denied, [OWN, OWN], extensions=DENIAL))
    assert start["status"] == 400


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://localhost:3000", "HTTP://LOCALHOST:8000"])
def test_an_own_or_trusted_origin_is_accepted_with_the_session_of_the_handshake(house: House, origin: str) -> None:
    house.logged_in()

    async def talk(socket: Socket) -> list[Any]:
        accepted = await socket.hear()
        socket.say("hello")
        return [accepted["type"], (await socket.hear())["text"]]

    told = house.run(conversation(house, talk, [("origin", origin)]))

    assert told == ["websocket.accept", "ada: hello"]


def test_a_stranger_needs_no_origin_and_is_nobody(house: House) -> None:
    async def talk(socket: Socket) -> list[Any]:
        accepted = await socket.hear()
        socket.say("hello")
        return [accepted, await socket.hear()]

    accepted, said = house.run(conversation(house, talk, []))

    assert said["text"] == "None: hello"
    headers = dict(accepted["headers"])
    assert headers[b"x-own"] == b"1"
    assert headers[b"set-cookie"].startswith(COOKIE.encode())


def test_csr_14_an_exempt_socket_is_a_stranger_s(build: Build) -> None:
    house = build(csrf_exempt={"/ws": Exemption(reason="public")})
    house.app = echo
    house.logged_in()

    async def talk(socket: Socket) -> str:
        await socket.hear()
        socket.say("x")
        return (await socket.hear())["text"]

    assert house.run(conversation(house, talk, [])) == "None: x"


def test_session_data_is_saved_at_accept_and_at_the_end(house: House) -> None:
    house.logged_in()

    async def talk(socket: Socket) -> Any:
        await socket.hear()
        socket.say("store")
        await socket.hear()
        return [session.data() for session, _ in (await house.desk.all_sessions())[0]]

    during = house.run(conversation(house, talk))

    assert during == [{"seen": True}]
    assert house.data() == [{"seen": True, "later": 1}]


def test_the_handshake_is_activity_and_the_socket_is_none(house: House, ticks: Ticks) -> None:
    house.logged_in()
    house.clock.move(120)

    async def talk(socket: Socket) -> list[str]:
        await socket.hear()
        socket.say("x")
        await socket.hear()
        house.clock.move(600)
        await ticks.look()
        return [name for name in house.steps if name == "touch"]

    assert house.run(conversation(house, talk)) == ["touch"]
    assert house.steps.count("touch") == 1


@pytest.mark.parametrize("end", ["log out", "revoke", "revoke all", "disable", "everybody", "idle", "purged"])
def test_rev_09_a_socket_ends_with_its_session(house: House, ticks: Ticks, end: str) -> None:
    session_id = house.logged_in()
    last: list[Any] = []

    async def talk() -> Any:
        socket = Socket(house, last=last)
        await socket.hear()
        await ticks.look()
        socket.say("still there")
        assert (await socket.hear())["text"] == "ada: still there"
        match end:
            case "log out":
                await house.desk.log_out(house.jar[COOKIE])
            case "revoke":
                await house.desk.revoke(session_id, of="ada")
            case "revoke all":
                await house.desk.revoke_all(of="ada")
            case "disable":
                await house.desk.disable("ada")
            case "everybody":
                await house.desk.revoke_everybody()
            case "idle":
                house.clock.move(3600 + 60)
            case _:
                await house.desk.log_out(house.jar[COOKIE])
                house.clock.move(90 * 86_400)
                await house.desk.purge()
        await ticks.tick()
        closed = await socket.hear()
        await socket.task
        return closed

    assert house.run(talk()) == {"type": "websocket.close", "code": 3000, "reason": "session_ended"}
    assert last == [{"type": "websocket.disconnect", "code": 3000, "reason": "session_ended"}]
    assert ticks.asked == [30, 30]


def test_a_socket_survives_a_new_secret_of_its_session(house: House, ticks: Ticks) -> None:
    house.logged_in()

    async def talk(socket: Socket) -> Any:
        await socket.hear()
        visit = await house.desk.authenticate(house.jar[COOKIE])
        assert visit
        await house.desk.rotate(visit.session)
        await ticks.look()
        socket.say("here")
        return await socket.hear()

    assert house.run(conversation(house, talk))["text"] == "ada: here"


def test_err_01_a_store_that_cannot_tell_ends_the_socket(house: House, ticks: Ticks) -> None:
    house.logged_in()

    async def talk(socket: Socket) -> Any:
        await socket.hear()
        house.fragile.broken = {"find_by_id"}
        await ticks.tick()
        return await socket.hear()

    told = house.run(conversation(house, talk))

    assert told == {"type": "websocket.close", "code": 1013, "reason": "store_unavailable"}


def test_err_01_a_store_that_is_down_at_the_handshake_is_503(house: House) -> None:
    house.logged_in()
    house.fragile.broken = {"find"}

    start, _ = house.run(conversation(house, denied, extensions=DENIAL))
    (closed,) = house.run(conversation(house, denied))

    assert (start["status"], closed["code"], house.entered) == (503, 1013, 0)


def test_err_01_a_store_that_cannot_save_at_accept_refuses_the_socket(house: House) -> None:
    house.logged_in()
    house.fragile.broken = {"patch"}

    start, _ = house.run(conversation(house, denied, extensions=DENIAL))
    assert start["status"] == 503


def test_who_only_speaks_is_told_by_an_os_error(house: House, ticks: Ticks) -> None:
    house.logged_in()

    async def ticker(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await asyncio.sleep(0)
            await send({"type": "websocket.send", "text": "tick"})

    async def talk() -> None:
        socket = Socket(house)
        await socket.hear()
        await house.desk.log_out(house.jar[COOKIE])
        await ticks.tick()
        await socket.task

    house.app = ticker
    with pytest.raises(OSError, match="has ended"):
        house.run(talk())


def test_no_message_is_lost_when_the_application_stops_waiting_for_it(house: House) -> None:
    house.logged_in()
    got: list[Any] = []

    async def impatient(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(3):
            waiting = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            waiting.cancel()
        await send({"type": "websocket.send", "text": "now"})
        got.extend([await receive(), await receive()])

    async def talk(socket: Socket) -> None:
        await socket.hear()
        await socket.hear()
        socket.say("one")
        socket.say("two")
        await socket.task

    house.app = impatient
    house.run(conversation(house, talk))

    assert [message["text"] for message in got] == ["one", "two"]


@pytest.mark.parametrize("accepts", [False, True])
def test_a_refusal_of_the_application_closes_the_socket(house: House, accepts: bool) -> None:
    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if accepts:
            await receive()
            await send({"type": "websocket.accept"})
        await scope["coatcheck"].require_session()

    house.app = guarded
    told = house.run(conversation(house, denied, extensions=DENIAL))

    if accepts:
        assert told[1] == {"type": "websocket.close", "code": 1008, "reason": "not_authenticated"}
    else:
        assert (told[0]["status"], len(told)) == (401, 2)


def test_a_refusal_when_all_is_over_is_the_server_s_business(house: House) -> None:
    async def late(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        raise NotAuthenticated

    house.app = late
    with pytest.raises(NotAuthenticated):
        house.run(conversation(house, denied))


def test_hst_01_a_host_that_is_not_ours_is_denied(house: House) -> None:
    async def foreign() -> list[Any]:
        scope = house.scope("GET", "/ws", type="websocket", scheme="ws")
        scope["headers"] = [(b"host", b"evil.example")]
        scope["extensions"] = DENIAL
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await house.door(scope, receive, send)
        return sent

    assert house.run(foreign())[0]["status"] == 421


def test_no_socket_is_ours(house: House) -> None:
    async def foreign() -> list[Any]:
        scope = house.scope("GET", "/auth/login", type="websocket", scheme="ws")
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await house.door(scope, receive, send)
        return sent

    assert house.run(foreign()) == [{"type": "websocket.close", "code": 1008}]


def test_who_gives_up_a_socket_that_is_ending_is_heard(house: House) -> None:
    """anyio knows a cancellation of its own by the words in it: the door must not put another one in its place."""

    async def give_up() -> bool:
        incoming: asyncio.Queue[Any] = asyncio.Queue()
        incoming.put_nowait({"type": "websocket.connect"})
        scope = house.scope("GET", "/ws", [OWN], type="websocket", scheme="ws", subprotocols=[])
        giving_up = anyio.CancelScope()

        async def brief(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(giving_up.cancel)

        house.app = brief
        with giving_up:
            await house.door(scope, incoming.get, asyncio.Queue[Any]().put)
        return giving_up.cancelled_caught

    house.logged_in()

    assert house.run(give_up()) is True
