"""The house in Flask."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from flask import Flask, Response, flash, get_flashed_messages, jsonify, redirect, request, session, stream_with_context

from coatcheck import Coatcheck
from coatcheck.flask import (
    CoatcheckFlask,
    csrf_token,
    current_account,
    current_passage,
    fresh_login_required,
    log_in,
    log_out,
    login_required,
    same_account_required,
    start_session,
)
from coatcheck.testing.visits.house import Fields, Raw, Send, Stage, odd_value


def application(desk: Coatcheck, stage: Stage, **settings: Any) -> Flask:
    app = Flask(__name__)
    CoatcheckFlask(app, desk, **settings)

    @app.route("/plain", methods=["GET", "POST"])
    def plain() -> str:
        return "plain"

    @app.get("/who")
    def who() -> str:
        if current_account:
            return current_account.username or current_account.subject
        visit = current_passage.visit
        return (visit.subject if visit else None) or "nobody"

    @app.get("/data")
    def data() -> Response:
        return jsonify(dict(session))

    @app.get("/look")
    def look() -> str:
        return "yes" if "x" in session else "no"

    @app.get("/public")
    def public() -> tuple[str, dict[str, str]]:
        return who(), {"Cache-Control": "public, max-age=60"}

    @app.get("/csrf")
    def csrf() -> str:
        return csrf_token()

    @app.get("/mine")
    @login_required
    def mine() -> str:
        return "mine"

    @app.get("/fresh")
    @fresh_login_required
    def fresh() -> str:
        return "fresh"

    @app.get("/users/<id>")
    @same_account_required("id")
    def user(id: str) -> str:  # noqa: A002, ARG001 - the name the guard looks for
        return "yours"

    @app.get("/flashes")
    def flashes() -> Response:
        return jsonify(get_flashed_messages())

    @app.get("/stream")
    def stream() -> Iterator[str]:
        session["streamed"] = True
        return iter(["one ", "two ", "three"])

    @app.get("/late-look")
    def late_look() -> Response:
        @stream_with_context
        def parts() -> Iterator[str]:
            yield "one"
            yield "yes" if "x" in session else "no "

        return Response(parts(), headers={"Content-Length": "6"})

    @app.get("/late-change")
    def late_change() -> Response:
        @stream_with_context
        def parts() -> Iterator[str]:
            yield "one"
            session["late"] = True
            yield "two"

        return Response(parts(), headers={"Content-Length": "6"})

    @app.get("/redirect")
    def redirected() -> Any:
        session["redirected"] = True
        return redirect("/plain", 303)

    @app.get("/not-modified")
    def not_modified() -> tuple[str, int, dict[str, str]]:
        session["seen"] = True
        return "", 304, {"ETag": '"1"'}

    @app.post("/flash")
    def flashed() -> str:
        flash(request.json["text"])
        return "kept"

    @app.post("/data")
    def store() -> str:
        for key, value in request.json.items():
            if value is None:
                session.pop(key, None)
            else:
                session[key] = value
        return "stored"

    @app.post("/deep")
    def deep() -> str:
        session["deep"]["list"].append(1)
        return "stored"

    @app.post("/count")
    def count() -> str:
        return str(current_passage.increment("count"))

    @app.post("/slow")
    def slow() -> str:
        session[request.json["key"]] = 1
        stage.gate.wait()
        return "stored"

    @app.post("/odd")
    def odd() -> str:
        session["odd"] = odd_value(request.json["what"])
        return "stored"

    @app.post("/log-in")
    def enter() -> str:
        log_in(request.json["identifier"], request.json["password"], remember=request.json["remember"])
        return "in"

    @app.post("/start")
    def start() -> str:
        start_session(request.json["subject"])
        return "in"

    @app.post("/log-out")
    def leave() -> str:
        return "out" if log_out() else "nobody"

    @app.post("/swap")
    def swap() -> str:
        log_out()
        return start()

    @app.post("/raise")
    def fail() -> str:
        session["lost"] = 1
        raise RuntimeError("raised on purpose")

    @app.post("/log-in-and-raise")
    def enter_and_fail() -> str:
        start()
        return fail()

    return app


class FlaskHouse:
    desk_type = Coatcheck
    answers_errors = True

    def __init__(self, serve: Callable[[Any], AbstractContextManager[Send]] | None = None) -> None:
        self._serve = serve

    @contextmanager
    def open(self, desk: Coatcheck, stage: Stage, **settings: Any) -> Generator[Send]:
        app = application(desk, stage, **settings)
        if self._serve is None:
            yield through_test_client(app)
        else:
            with self._serve(app) as send:
                yield send


def through_test_client(app: Flask) -> Send:
    """Flask's own test client, one for each request: cookies are the stories' affair."""

    def send(method: str, target: str, headers: Fields, body: bytes) -> Raw:
        with app.test_client(use_cookies=False) as client:
            try:
                response = client.open(target, method=method, headers=list(headers), data=body, buffered=True)
            except RuntimeError:  # of a body that breaks off; a server would end the connection
                return Raw(500, [], b"")
        fields = [(name.lower(), value) for name, value in response.headers]
        return Raw(response.status_code, fields, response.data)

    return send
