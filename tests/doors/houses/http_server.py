"""The house in `http.server`."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from coatcheck import Coatcheck
from coatcheck.http_server import (
    CoatcheckHandler,
    CoatcheckServer,
    fresh_login_required,
    login_required,
    same_account_required,
)
from coatcheck.testing.visits.house import Send, Stage, odd_value
from coatcheck.testing.visits.ways import over_http


class Handler(CoatcheckHandler):
    stage: Stage

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/users/"):
            self.user(unquote(path.removeprefix("/users/")))
            return
        routes = {
            "/plain": self.plain,
            "/who": self.who,
            "/data": self.data,
            "/look": lambda: self.answer("yes" if "x" in self.session else "no"),
            "/public": lambda: self.who(("Cache-Control", "public, max-age=60")),
            "/csrf": lambda: self.answer(self.coatcheck.csrf_token()),
            "/mine": self.mine,
            "/fresh": self.fresh,
            "/flashes": lambda: self.answer(json.dumps([text for _, text in self.coatcheck.flashes()])),
            "/stream": self.stream,
            "/late-look": self.late_look,
            "/late-change": self.late_change,
            "/redirect": self.redirected,
            "/not-modified": self.not_modified,
        }
        routes.get(path, self.nothing)()

    def do_POST(self) -> None:
        routes = {
            "/plain": self.plain,
            "/data": self.store,
            "/deep": self.deep,
            "/count": lambda: self.answer(str(self.coatcheck.increment("count"))),
            "/flash": self.flash,
            "/slow": self.slow,
            "/odd": self.odd,
            "/log-in": self.log_in,
            "/start": self.start,
            "/log-out": lambda: self.answer("out" if self.coatcheck.log_out() else "nobody"),
            "/swap": self.swap,
            "/raise": self.fail,
            "/log-in-and-raise": self.log_in_and_fail,
        }
        routes.get(urlsplit(self.path).path, self.nothing)()

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read() or b"{}")

    def nothing(self) -> None:
        self.answer("nothing here", status=404)

    def plain(self) -> None:
        self.answer("plain")

    def who(self, *headers: tuple[str, str]) -> None:
        visit, account = self.coatcheck.visit, self.account
        name = account.username if account else (visit.subject if visit else None)
        self.answer(name or "nobody", headers=headers)

    def data(self) -> None:
        self.answer(json.dumps(dict(self.session)))

    @login_required
    def mine(self) -> None:
        self.answer("mine")

    @fresh_login_required
    def fresh(self) -> None:
        self.answer("fresh")

    @same_account_required("subject")
    def user(self, subject: str) -> None:
        assert subject
        self.answer("yours")

    def stream(self) -> None:
        self.session["streamed"] = True
        self.send_response(200)
        self.end_headers()
        for part in (b"one ", b"two ", b"three"):
            self.wfile.write(part)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"one")

    def late_look(self) -> None:
        self.begin()
        self.wfile.write(b"yes" if "x" in self.session else b"no ")

    def late_change(self) -> None:
        self.begin()
        self.session["late"] = True
        self.wfile.write(b"two")

    def redirected(self) -> None:
        self.session["redirected"] = True
        self.redirect("/plain")

    def not_modified(self) -> None:
        self.session["seen"] = True
        self.send_response(304)
        self.send_header("ETag", '"1"')
        self.end_headers()

    def store(self) -> None:
        for key, value in self.body.items():
            if value is None:
                self.session.pop(key, None)
            else:
                self.session[key] = value
        self.answer("stored")

    def deep(self) -> None:
        self.session["deep"]["list"].append(1)  # type: ignore[index]
        self.answer("stored")

    def flash(self) -> None:
        self.coatcheck.flash(self.body["text"])
        self.answer("kept")

    def slow(self) -> None:
        self.session[self.body["key"]] = 1
        self.stage.gate.wait()
        self.answer("stored")

    def odd(self) -> None:
        self.session["odd"] = odd_value(self.body["what"])
        self.answer("stored")

    def log_in(self) -> None:
        given = self.body
        self.coatcheck.log_in(given["identifier"], given["password"], remember=given["remember"])
        self.answer("in")

    def start(self) -> None:
        self.coatcheck.start_session(self.body["subject"])
        self.answer("in")

    def swap(self) -> None:
        self.coatcheck.log_out()
        self.start()

    def fail(self) -> None:
        self.session["lost"] = 1
        raise RuntimeError("raised on purpose")

    def log_in_and_fail(self) -> None:
        self.coatcheck.start_session(self.body["subject"])
        self.fail()

    def log_message(self, *_: object) -> None:
        """The tests' output is quiet."""


class HttpServerHouse:
    desk_type = Coatcheck
    answers_errors = True

    @contextmanager
    def open(self, desk: Coatcheck, stage: Stage, **settings: Any) -> Generator[Send]:
        handler = type("Handler", (Handler,), {"stage": stage})
        with CoatcheckServer(("127.0.0.1", 0), handler, desk, **settings) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield over_http(server.server_port)
            finally:
                server.shutdown()
                thread.join()
