"""`flask.session` and `flash()` on the server: what Flask's users know, and what they could not rely on before."""

from __future__ import annotations

import datetime as dt
import json
import uuid
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from flask import (
    Flask,
    Response,
    flash,
    get_flashed_messages,
    redirect,
    request,
    send_file,
    session,
    stream_with_context,
)
from flask.json.tag import JSONTag
from markupsafe import Markup
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import EnvironBuilder

from coatcheck.flask import ServerSession, current_passage, log_in, log_out, login_required
from coatcheck.web.blocking import BlockingPassage
from coatcheck.wsgi import KEY
from tests.flask.conftest import PASSWORD, House

VALUES: dict[str, Any] = {
    "text": "coat", "number": 7, "float": 1.5, "truth": True, "nothing": None, "list": [1, [2]],
    "dict": {"a": {"b": 1}}, "tuple": (1, ("two", [3])), "bytes": b"\x00\xff", "markup": Markup("<b>bold</b>"),
    "uuid": uuid.UUID(int=7), "datetime": dt.datetime(2026, 11, 28, 0, 3, tzinfo=dt.UTC), "like a tag": {" t": [1]},
    "deep": [{"in": (b"here", {"there": uuid.UUID(int=8)})}],
}  # fmt: skip


def count() -> str:
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


def data() -> dict[str, Any]:
    return dict(session)


def test_ses_01_a_first_visit_leaves_no_row_and_no_cookie(house: House) -> None:
    house.route("/", lambda: "hello")
    house.route("/look", lambda: f"{session.get('x')} {'x' in session} {len(session)} {get_flashed_messages()}")

    for path in ("/", "/look", "/nowhere"):
        assert "Set-Cookie" not in house.get(path).headers
    assert house.desk.all_sessions()[0] == []


def test_what_is_stored_is_there_the_next_time_and_for_nobody_else(house: House) -> None:
    house.route("/", count)

    assert [house.get().text for _ in range(3)] == ["1", "2", "3"]
    assert house.new_browser().get("/").text == "1"


def test_the_cookie_holds_nothing_but_a_token(house: House) -> None:
    house.route("/", lambda: session.update(secret="a coat of many colours") or "ok")  # type: ignore[func-returns-value]

    cookie = house.get().headers["Set-Cookie"]

    assert cookie == f"coatcheck-dev={house.token}; Path=/; HttpOnly; SameSite=Lax"
    assert len(house.token or "") == 43


@pytest.mark.parametrize("name", VALUES)
def test_flasks_tagged_types_come_back_as_they_were(house: House, name: str) -> None:
    house.route("/put", lambda: session.update(value=VALUES[name]) or "ok")  # type: ignore[func-returns-value]
    seen: list[Any] = []
    house.route("/get", lambda: seen.append(session["value"]) or "ok")  # type: ignore[func-returns-value]

    house.get("/put")
    house.get("/get")

    assert seen == [VALUES[name]]
    assert type(seen[0]) is type(VALUES[name])


@pytest.mark.parametrize("value", [{" u": "x"}, {" b": "aGk"}, {" t": 5}, {" d": 5}, {" di": {}}, [{" u": None}]])
def test_what_another_door_has_kept_is_read_even_if_it_looks_like_a_tag(house: House, value: Any) -> None:
    house.route("/put", lambda: session.update(count=1) or "ok")  # type: ignore[func-returns-value]
    house.route("/", data)
    house.get("/put")

    with house.desk.edit(house.desk.all_sessions()[0][0][0]) as kept:
        kept["from elsewhere"] = value

    assert house.get().json == {"count": 1, "from elsewhere": value}


def test_own_types_are_registered_as_with_flask(house: House) -> None:
    class TagOrdered(JSONTag):
        key = " od"

        def check(self, value: Any) -> bool:
            return isinstance(value, OrderedDict)

        def to_json(self, value: Any) -> Any:
            return [[key, self.serializer.tag(item)] for key, item in value.items()]

        def to_python(self, value: Any) -> Any:
            return OrderedDict(value)

    house.app.session_interface.serializer.register(TagOrdered, index=0)  # type: ignore[attr-defined]
    house.route("/put", lambda: session.update(value=OrderedDict(b=1, a=(2,))) or "ok")  # type: ignore[func-returns-value]
    house.route("/get", lambda: repr(session["value"]))

    house.get("/put")

    assert house.get("/get").text == repr(OrderedDict(b=1, a=(2,)))


def test_values_are_kept_as_json_that_other_applications_can_read(house: House) -> None:
    house.route("/put", lambda: session.update(cart=[1, {"a": None}], pair=(1, 2)) or "ok")  # type: ignore[func-returns-value]
    house.get("/put")

    ((kept, _),) = house.desk.all_sessions()[0]

    assert kept.data() == {"cart": [1, {"a": None}], "pair": {" t": [1, 2]}}


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "value",
    [object(), {1: "a"}, 2**63, float("nan"), "x" * 20_000, {1, 2}, ENDLESS],
    ids=["object", "number as key", "large number", "nan", "too large", "set", "endless"],
)
def test_ses_08_what_cannot_be_kept_is_refused_by_name_and_loses_nothing(
    house: House, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    house.route("/", count)
    house.get()
    house.route("/put", lambda: session.update(bad=value) or "ok")  # type: ignore[func-returns-value]

    assert house.get("/put").status_code == 422

    assert "session data was not kept" in caplog.text
    assert ("'bad'" in caplog.text) == (value is ENDLESS or value != "x" * 20_000)
    assert house.get().text == "2"


def test_a_change_deep_inside_is_saved_without_modified(house: House) -> None:
    house.route(
        "/", lambda: session.setdefault("cart", {"coats": []})["coats"].append(len(session["cart"]["coats"])) or data()
    )

    for _ in range(3):
        last = house.get()

    assert last.json == {"cart": {"coats": [0, 1, 2]}}


def test_ses_06_two_requests_that_change_two_keys_both_win(house: House) -> None:
    """A request is held open while another one comes and goes: each saves its own keys and no other."""
    house.route("/", count)
    house.get()
    other = house.new_browser()
    other.set_cookie("coatcheck-dev", house.token or "")

    def slow() -> dict[str, Any]:
        session["slow"] = 1
        other.get("/fast")
        return data()

    house.route("/slow", slow)
    house.route("/fast", lambda: session.update(fast=1) or "ok")  # type: ignore[func-returns-value]
    house.route("/data", data)

    house.get("/slow")

    assert house.get("/data").json == {"count": 1, "fast": 1, "slow": 1}


def test_ses_05_a_late_save_revives_nothing(house: House) -> None:
    house.account()
    house.route("/in", lambda: str(log_in("ada", PASSWORD).subject))
    house.route("/out", lambda: str(log_out()))
    house.post("/in")
    other = house.new_browser()
    other.set_cookie("coatcheck-dev", house.token or "")

    def slow() -> str:
        session["late"] = 1
        other.post("/out")
        return "done"

    house.route("/slow", slow)

    answer = house.get("/slow")

    assert (answer.text, "Set-Cookie" in answer.headers) == ("done", False)
    assert all(death is not None for _, death in house.desk.all_sessions()[0])


def test_counters_are_atomic(house: House) -> None:
    house.route("/", lambda: f"{current_passage.increment('visits')} {session['visits']}")

    assert [house.get().text for _ in range(2)] == ["1 1", "2 2"]


def test_an_exception_after_a_change_saves_nothing(house: House) -> None:
    house.app.config["PROPAGATE_EXCEPTIONS"] = False
    house.route("/", count)
    house.get()

    def boom() -> str:
        session["count"] = 1000
        raise RuntimeError("a bug")

    house.route("/boom", boom)

    assert house.get("/boom").status_code == 500
    assert house.get().text == "2"


def test_an_exception_whose_500_page_is_the_applications_saves_nothing_either(house: House) -> None:
    house.app.config["PROPAGATE_EXCEPTIONS"] = False
    house.app.register_error_handler(500, lambda _error: (flash("sorry") or str(session["count"]), 500))  # type: ignore[func-returns-value]
    house.route("/", count)
    house.get()
    house.route("/boom", lambda: session.update(count=1000) or 1 / 0)  # type: ignore[func-returns-value]

    assert house.get("/boom").text == "1000"
    assert house.get().text == "2"


def test_an_exception_that_the_application_answers_is_an_answer(house: House) -> None:
    house.app.register_error_handler(KeyError, lambda _error: redirect("/"))
    house.route("/", count)

    def turn_back() -> str:
        session["count"] = 41
        raise KeyError

    house.route("/back", turn_back)

    assert house.get("/back").status_code == 302
    assert house.get().text == "42"


def test_an_exception_before_a_session_began_leaves_no_row(house: House) -> None:
    house.app.config["PROPAGATE_EXCEPTIONS"] = False
    house.route("/boom", lambda: session.update(x=1) or 1 / 0)  # type: ignore[func-returns-value]

    answer = house.get("/boom")

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (500, False)
    assert house.desk.all_sessions()[0] == []


def test_new_modified_and_permanent_mean_something(house: House) -> None:
    seen: list[Any] = []

    def look() -> str:
        assert isinstance(session._get_current_object(), ServerSession)
        seen.append((session.new, session.modified, session.permanent))
        session["x"] = session.get("x", 0) + 1
        seen.append((session.new, session.modified, session.permanent))
        return "ok"

    house.route("/", look)
    house.get()
    house.get()

    assert seen == [(True, False, False), (True, True, False), (False, False, False), (False, True, False)]


def test_modified_may_be_set_and_data_that_cannot_be_kept_is_modified(house: House) -> None:
    def look() -> list[bool]:
        seen = [session.modified]
        session["x"] = object()
        seen.append(session.modified)
        del session["x"]
        session.modified = True
        return [*seen, session.modified]

    house.route("/", look)

    assert house.get().json == [False, True, True]


def test_rem_02_permanent_asks_that_a_log_in_is_remembered(house: House) -> None:
    house.account()

    def enter() -> str:
        session.permanent = True
        log_in("ada", PASSWORD)
        return str(session.permanent)

    house.route("/in", enter)
    house.route("/", lambda: str(session.permanent))

    cookies = house.post("/in").headers.getlist("Set-Cookie")

    assert any(cookie.startswith("coatcheck-dev=") and "Max-Age=2592000" in cookie for cookie in cookies)
    assert house.get().text == "True"


def test_permanent_alone_begins_no_session(house: House) -> None:
    house.app.before_request(lambda: setattr(session, "permanent", True))
    house.route("/", lambda: "hello")

    assert "Set-Cookie" not in house.get().headers
    assert house.desk.all_sessions()[0] == []


# What goes out


@pytest.mark.parametrize(
    "look",
    [
        lambda: session.get("x"), lambda: "x" in session, lambda: len(session), lambda: bool(session),
        lambda: session.pop("x", None), lambda: session.permanent, lambda: session.new, lambda: list(session),
        lambda: session.setdefault("x", 1), lambda: [session.clear()],
    ],
)  # fmt: skip
def test_hdr_01_an_answer_that_looked_at_the_session_is_the_visitors_own(house: House, look: Any) -> None:
    house.route("/", count)
    house.route("/look", lambda: str(look()))
    house.get()

    headers = house.get("/look").headers

    assert (headers["Vary"], headers["Cache-Control"]) == ("Cookie", "private")


def test_hdr_01_what_the_application_says_of_caching_is_kept_as_far_as_it_is_safe(house: House) -> None:
    def look() -> Response:
        answer = Response(count())
        answer.vary.add("Accept-Encoding")
        answer.cache_control.public = True
        answer.cache_control.max_age = 60
        return answer

    house.route("/", look)
    house.route("/plain", lambda: Response("x", headers={"Cache-Control": "public"}))

    first, second = house.get().headers, house.get().headers

    assert (first["Cache-Control"], first["Vary"]) == ("no-store", "Accept-Encoding, Cookie")
    assert (second["Cache-Control"], second["Vary"]) == ("private, max-age=60", "Accept-Encoding, Cookie")
    assert house.get("/plain").headers["Cache-Control"] == "public"


def test_hdr_01_an_answer_that_may_look_while_it_streams_is_the_visitors_own(house: House, tmp_path: Path) -> None:
    def streamed() -> Response:
        @stream_with_context
        def blocks() -> Any:
            yield "hello "
            yield str(session["count"])

        return Response(blocks(), headers={"Cache-Control": "public, max-age=60"})

    (tmp_path / "logo.svg").write_text("<svg/>")
    house.route("/", count)
    house.route("/stream", streamed)
    house.route("/public", lambda: Response(iter("ab"), headers={"Cache-Control": "public"}))
    house.route("/logo", lambda: send_file(tmp_path / "logo.svg"))
    assert house.get("/public").headers["Cache-Control"] == "public", "nobody's"
    house.get()

    answer = house.get("/stream")

    assert answer.text == "hello 1"
    assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Cookie", "private, max-age=60")
    with house.get("/logo") as logo:
        assert "Vary" not in logo.headers, "a file runs no code"


@pytest.mark.parametrize("status", [200, 204, 303, 304, 401, 500])
def test_hdr_02_an_answer_that_sets_a_session_is_stored_nowhere_whatever_its_status(house: House, status: int) -> None:
    def answer() -> Response:
        session["x"] = 1
        return Response(status=status, headers={"Location": "/"})

    house.route("/", answer)

    found = house.get()

    assert (found.status_code, found.headers["Cache-Control"], found.headers["Vary"]) == (status, "no-store", "Cookie")
    assert len(found.headers.getlist("Set-Cookie")) == 1


def test_head_is_get_without_the_body(house: House) -> None:
    house.route("/", count)

    found = house.browser.head("/")

    assert (found.status_code, found.text, house.get().text) == (200, "", "2")


def test_cky_07_a_cookie_of_the_applications_own_stays_beside_ours(house: House) -> None:
    def both() -> Response:
        session["x"] = 1
        answer = Response("ok")
        answer.set_cookie("username", "eschoppik")
        return answer

    house.route("/", both)

    names = [cookie.partition("=")[0] for cookie in house.get().headers.getlist("Set-Cookie")]

    assert sorted(names) == ["coatcheck-dev", "username"]


def test_cky_07_what_the_application_says_of_our_cookie_gives_way_to_what_we_say(house: House) -> None:
    def meddle() -> Response:
        session["x"] = 1
        answer = Response("ok", headers=[("X-Two", "1"), ("X-Two", "2")])
        answer.delete_cookie("coatcheck-dev")
        answer.set_cookie("coatcheck-dev", "theirs", path="/shop")
        answer.set_cookie("username", "eschoppik")
        return answer

    house.route("/", meddle)

    headers = house.get().headers
    cookies = headers.getlist("Set-Cookie")
    ours = [cookie for cookie in cookies if cookie.startswith("coatcheck-dev=")]

    assert [cookie.partition("=")[0] for cookie in cookies] == ["username", "coatcheck-dev"]
    assert "theirs" not in ours[0]
    assert "Max-Age=0" not in ours[0]
    assert (headers.getlist("X-Two"), headers["Content-Length"]) == (["1", "2"], "2")


def test_a_stream_sees_the_session_and_what_it_changes_is_saved_at_its_end(house: House) -> None:
    def streamed() -> Response:
        session["before"] = 1

        @stream_with_context
        def blocks() -> Any:
            yield "one "
            session["during"] = 2
            yield str(session["before"])

        return Response(blocks())

    house.route("/", streamed)
    house.route("/data", data)

    answer = house.get()
    assert answer.text == "one 1"
    answer.close()  # as a server does
    assert house.get("/data").json == {"before": 1, "during": 2}


def test_teardown_still_sees_the_session(house: House) -> None:
    seen: list[Any] = []
    house.app.teardown_request(lambda _error: seen.append(session["count"]))
    house.route("/", count)

    house.get()

    assert seen == [1]


# Messages


def test_ses_12_a_message_is_shown_once_with_category_and_markup(house: House) -> None:
    def say() -> str:
        flash("plain <b>")
        flash("bad", "error")
        flash(Markup("<em>safe</em>"), "note")
        return "ok"

    house.route("/say", say)
    house.route("/", lambda: json.dumps(get_flashed_messages(with_categories=True)))
    house.route("/errors", lambda: json.dumps(get_flashed_messages(category_filter=["error"])))

    house.post("/say")
    assert json.loads(house.get().text) == [["message", "plain <b>"], ["error", "bad"], ["note", "<em>safe</em>"]]
    assert house.get().text == "[]"

    house.post("/say")
    assert house.get("/errors").text == '["bad"]'


def test_ses_12_messages_are_few_and_short(house: House) -> None:
    house.route("/say", lambda: [flash(f"{number}" + "x" * 600) for number in range(30)] and "ok")
    house.route("/", lambda: json.dumps(get_flashed_messages()))

    house.post("/say")

    shown = json.loads(house.get().text)
    assert len(shown) == 20
    assert {len(text) for text in shown} == {500}


def test_ses_12_messages_do_not_cross_a_log_in_but_those_of_after_do(house: House) -> None:
    house.account()

    def enter() -> str:
        log_in("ada", PASSWORD)
        flash("welcome")
        return "ok"

    house.route("/say", lambda: flash("for the stranger") or "ok")  # type: ignore[func-returns-value]
    house.route("/in", enter)
    house.route("/", lambda: json.dumps(get_flashed_messages()))

    house.post("/say")
    house.post("/in")

    assert house.get().text == '["welcome"]'


def test_ses_12_a_message_after_log_out_is_shown_once_and_to_a_stranger(house: House) -> None:
    house.account()

    def leave() -> str:
        flash("for ada's eyes")
        log_out()
        flash("You have been signed out.")
        return "ok"

    house.route("/in", lambda: str(log_in("ada", PASSWORD).subject))
    house.route("/out", leave)
    house.route("/", lambda: json.dumps(get_flashed_messages()))
    house.post("/in")

    cookies = [cookie for cookie in house.post("/out").headers.getlist("Set-Cookie") if "coatcheck-dev=" in cookie]

    assert len(cookies) == 1
    assert house.get().text == '["You have been signed out."]'
    assert house.get().text == "[]"


# The test client


@pytest.mark.usefixtures("uncollected")
def test_nothing_of_a_request_stays_in_memory_when_it_is_over(house: House) -> None:
    passages: list[weakref.ref[BlockingPassage]] = []

    def view() -> str:
        passages.append(weakref.ref(request.environ[KEY]))
        return count()

    house.route("/", view)
    environ = EnvironBuilder("/").get_environ()

    blocks: Any = house.app(environ, lambda *_: lambda _block: None)
    blocks.close()
    del environ, blocks

    assert [passage() for passage in passages] == [None]


def test_session_transaction_reads_and_writes(house: House) -> None:
    house.route("/", count)
    with house.browser.session_transaction() as opened:
        opened["count"] = 41

    assert house.get().text == "42"

    with house.browser.session_transaction() as opened:
        assert opened["count"] == 42


def test_a_request_context_of_a_test_has_a_session() -> None:
    house = House()

    with house.app.test_request_context("/"):
        session["x"] = 1
        assert session["x"] == 1


def test_two_applications_of_one_extension_keep_apart_what_they_are_told_to(house: House) -> None:
    from coatcheck.flask import CoatcheckFlask

    other = Flask("other")
    other.testing = True
    CoatcheckFlask(other, house.desk, namespace="other")
    house.route("/", count)
    other.add_url_rule("/", "count", count)
    house.get()
    visitor = other.test_client()
    visitor.set_cookie("coatcheck-dev", house.token or "")

    assert [visitor.get("/").text, visitor.get("/").text, house.get().text] == ["1", "2", "2"]


@pytest.mark.parametrize("lazily", [False, True])
def test_a_request_that_a_view_sends_on_leaves_its_own_answer_as_it_is(house: House, lazily: bool) -> None:
    """Nothing has gone out when the inner answer is there: the outer one may store, log in and look."""
    inner_application: Any = house.app

    def by_generator(environ: Any, start: Any) -> Any:
        yield from inner_application(environ, start)  # a middleware that does nothing before it is iterated

    def sent_on(path: str) -> Response:
        answer = Response.from_app(by_generator if lazily else house.app, request.environ | {"PATH_INFO": path})
        answer.get_data()
        answer.close()
        return answer

    def fail() -> str:
        session["tried"] = True
        raise RuntimeError("raised on purpose")

    def store() -> str:
        session["before"] = 1
        statuses = [sent_on(path).status_code for path in ("/plain", "/fails", "/members")]
        session["after"] = 2
        return str(statuses)

    def enter() -> str:
        answer = sent_on("/count").get_data(as_text=True)
        log_in("ada", PASSWORD)
        return answer

    def look() -> str:
        return f"{sent_on('/stream').get_data(as_text=True)} {session.get('after')}"

    house.account()
    house.app.config["PROPAGATE_EXCEPTIONS"] = False
    for path, view in (("/plain", lambda: "plain"), ("/fails", fail), ("/count", count), ("/data", data)):
        house.route(path, view)
    house.route("/members", login_required(lambda: "in"))
    house.route("/stream", lambda: Response(iter(["on", "e"]), headers={"Content-Length": "3"}))
    for path, view in (("/store", store), ("/enter", enter), ("/look", look)):
        house.route(path, view)

    assert house.get("/store").text == "[200, 500, 303]"
    assert house.get("/data").json == {"before": 1, "tried": True, "after": 2}
    assert house.get("/look").text == "one 2"
    assert "private" in house.get("/look").headers["Cache-Control"]
    assert house.post("/enter").text == "1"
    assert house.get("/data").json == {"before": 1, "tried": True, "after": 2, "count": 1}


def test_an_application_mounted_in_itself_answers_for_its_sessions(house: House) -> None:
    house.route("/", count)
    house.app.wsgi_app = DispatcherMiddleware(house.app.wsgi_app, {"/again": house.app})  # type: ignore[method-assign]

    assert [house.get(path).text for path in ("/", "/again/", "/again/again/")] == ["1", "2", "3"]
    assert "private" in house.get("/again/").headers["Cache-Control"]
