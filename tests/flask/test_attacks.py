"""What visitors and stores do to an application behind this door, and what it shows to nobody."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from flask import Flask, Response, abort, request, session
from flask.testing import FlaskClient
from werkzeug.debug import DebuggedApplication

from coatcheck import Coatcheck, StoreUnavailable
from coatcheck.errors import ConfigurationError, CrossSite
from coatcheck.flask import (
    CoatcheckFlask,
    Exemption,
    csrf_exempt,
    csrf_token,
    current_account,
    current_passage,
    log_in,
    log_out,
    login_required,
    start_session,
)
from tests.flask.conftest import PASSWORD, SITE, House

JSON = {"Accept": "application/json"}


def count() -> str:
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@pytest.fixture
def counting(house: House) -> House:
    house.route("/", count)
    house.route("/token", csrf_token)
    house.route("/echo", lambda: request.get_data(as_text=True) + str(sorted(request.form)))
    house.get()
    return house


def bare(house: House) -> FlaskClient:
    """The same visitor with a client that says nothing of where its requests come from."""
    visitor = house.app.test_client()
    visitor.set_cookie("coatcheck-dev", house.token or "")
    return visitor


# Cookies


@pytest.mark.parametrize(
    "cookie",
    [
        "\u2000{name}={token}", "{NAME}={token}", '"{name}"={token}', '{name}="{token}"', "={name}={token}", "{name}",
        "{name}={token},a=b", "{name}={token}; {name}={token}", "{name}={token}; {name}=x", "{name}=x; {name}={token}",
        "%63oatcheck-dev={token}", "{name}={token}\xa0", "$Version=1; {name}={token}; {name}=", "coatcheck={token}",
        "__Host-coatcheck={token}", "session={token}",
    ],
)  # fmt: skip
def test_cky_08_cky_10_a_cookie_is_read_octet_by_octet(counting: House, cookie: str) -> None:
    """Flask's own parser forgives much of this; ours is asked instead."""
    name, token = "coatcheck-dev", counting.token
    raw = cookie.format(name=name, NAME=name.upper(), token=token).encode().decode("latin-1")

    stranger = counting.app.test_client(use_cookies=False)

    assert stranger.get("/", environ_overrides={"HTTP_COOKIE": raw}).text == "1"
    assert stranger.get("/", environ_overrides={"HTTP_COOKIE": f"x=y; {name}={token} ;z"}).text == "2"


def test_a_tampered_token_is_nobodys(counting: House) -> None:
    token = counting.token or ""
    counting.browser.set_cookie("coatcheck-dev", ("B" if token[0] == "A" else "A") + token[1:])

    assert counting.get().text == "1"


def test_cky_04_the_development_cookie_is_never_read_in_production() -> None:
    house = House(public_url=SITE, config={})
    house.route("/", count)
    login = house.desk.start_session("ada")

    seen = house.browser.get("/", base_url=SITE, headers={"Cookie": f"coatcheck-dev={login.token.reveal()}"})

    assert seen.text == "1"


def test_cky_13_a_token_is_read_from_its_cookie_only(counting: House) -> None:
    stranger = counting.new_browser()

    answers = [
        stranger.get(f"/?coatcheck-dev={counting.token}&session={counting.token}"),
        counting.new_browser().post("/", data={"coatcheck-dev": counting.token, "session": counting.token}),
        counting.new_browser().get("/", headers={"X-Session-Token": counting.token}),
    ]

    assert [answer.text for answer in answers] == ["1", "1", "1"]


# Cross-site requests


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""},
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Referer": "https://evil.example/localhost"}, {},
    ],
)  # fmt: skip
def test_csr_01_csr_12_a_post_from_elsewhere_does_not_reach_the_view(counting: House, headers: dict[str, str]) -> None:
    answer = bare(counting).post("/", headers={**headers, **JSON})

    assert answer.status_code == 403
    assert answer.json["reason"] in {
        "cross_site", "foreign_origin", "null_origin", "foreign_referer", "csrf_token_required",
    }  # fmt: skip
    assert counting.get().text == "2"


def test_csr_12_nor_the_applications_own_functions_before_it(counting: House) -> None:
    reached: list[int] = []
    counting.app._got_first_request = False
    counting.app.before_request(lambda: reached.append(1))

    bare(counting).post("/")

    assert reached == []


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost"}, {"Referer": "http://localhost/form"}])
def test_csr_02_a_post_from_our_own_page_passes(counting: House, headers: dict[str, str]) -> None:
    assert bare(counting).post("/", headers=headers).text == "2"


def test_csr_06_a_field_of_the_form_or_a_header_is_evidence(counting: House) -> None:
    token, visitor = counting.get("/token").text, bare(counting)

    with_file = {"csrf_token": token, "file": (io.BytesIO(b"x"), "x.txt")}

    assert (
        visitor.post("/echo", data={"csrf_token": token, "a": "b"}).text == f"csrf_token={token}&a=b['a', 'csrf_token']"
    )
    assert visitor.post("/", data=with_file).text == "2"
    assert visitor.post("/", headers={"X-CSRF-Token": token}).text == "3"
    assert visitor.post("/", data={"csrf_token": "x" * 64}).status_code == 403
    assert visitor.post("/", data={"csrf_token": [token, token]}).status_code == 403
    assert visitor.post(f"/?csrf_token={token}").status_code == 403
    assert visitor.post("/", json={"csrf_token": token}).status_code == 403
    assert visitor.post("/", data={"csrf_token": token, "b": "x" * 70_000}).status_code == 403


def test_csr_08_a_strangers_form_is_bound_to_the_strangers_cookie(counting: House) -> None:
    stranger, other = counting.app.test_client(), counting.app.test_client()
    token = stranger.get("/token").text
    other.get("/token")

    assert stranger.post("/", data={"csrf_token": token}).text == "1"
    assert other.post("/", data={"csrf_token": token}).status_code == 403


def test_fix_04_a_token_of_before_the_log_in_is_no_good_after_it(counting: House) -> None:
    counting.account()
    counting.route("/in", lambda: str(log_in("ada", PASSWORD)))
    token = counting.get("/token").text
    counting.post("/in")

    assert bare(counting).post("/", data={"csrf_token": token}).status_code == 403
    assert bare(counting).post("/", data={"csrf_token": counting.get("/token").text}).status_code == 200


def test_csr_01_a_post_without_a_cookie_is_the_applications_business_but_for_identity(house: House) -> None:
    house.account()
    house.route("/", count)
    house.route("/in", lambda: str(log_in("ada", PASSWORD)))
    stranger = house.app.test_client()

    assert stranger.post("/", headers={"Origin": "https://evil.example"}).text == "1"
    visitor = house.app.test_client()
    assert visitor.post("/in", headers={"Origin": "https://evil.example", **JSON}).status_code == 403


@pytest.mark.parametrize("allow_cookie", [False, True])
def test_csr_14_an_exempt_view_sees_a_stranger_and_is_listed(
    allow_cookie: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "coatcheck")
    house = House()
    hook = csrf_exempt(reason="signed by the sender", allow_cookie=allow_cookie)(lambda: str(session.get("count")))
    house.route("/", count)
    house.route("/hook", hook)
    house.get()

    answer = house.new_browser()
    answer.set_cookie("coatcheck-dev", house.token or "")

    assert answer.post("/hook", headers={"Sec-Fetch-Site": "cross-site"}).text == ("1" if allow_cookie else "None")
    assert caplog.text.count("signed by the sender") == 1


def test_csr_14_a_path_can_be_exempt_and_a_reason_must_be_given() -> None:
    house = House(csrf_exempt={"/hook": Exemption(reason="signed by the sender")})
    house.route("/hook", count)
    house.get("/hook")

    assert bare(house).post("/hook").text == "1"
    with pytest.raises(ConfigurationError, match="reason"):
        csrf_exempt(reason=" ")


def test_an_application_can_answer_cross_site_posts_in_its_own_words(counting: House) -> None:
    counting.app._got_first_request = False
    counting.app.register_error_handler(CrossSite, lambda error: (error.reason, 400))

    answer = bare(counting).post("/")

    assert (answer.status_code, answer.text) == (400, "csrf_token_required")


def test_hst_01_another_host_is_refused_before_the_application(counting: House) -> None:
    for host in ("evil.example", "localhost.evil.example", ""):
        assert counting.get("/", headers={"Host": host}).status_code in (400, 421)
    assert counting.get().text == "2"


# Stores and errors


@pytest.mark.parametrize(
    "look",
    [
        lambda: session.get("x"), lambda: current_account.username, lambda: bool(current_account),
        lambda: current_passage.visit, lambda: "x" in session,
    ],
)  # fmt: skip
def test_err_01_a_store_that_is_down_is_503_where_the_visitor_is_asked_for(house: House, look: Any) -> None:
    went_on: list[int] = []
    house.route("/", lambda: [look(), went_on.append(1)] and "ok")
    house.route("/guarded", login_required(lambda: [went_on.append(1)] and "ok"))
    house.route("/public", lambda: "public")
    house.route("/put", count)
    house.get("/put")
    house.break_store("find")

    for path in ("/", "/guarded"):
        answer = house.get(path, headers=JSON)
        assert (answer.status_code, answer.json["reason"]) == (503, "store_unavailable")
        assert "Set-Cookie" not in answer.headers
    assert went_on == []
    assert house.get("/public").text == "public"


def test_err_02_no_runtime_error_makes_a_stranger_of_a_visitor(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Werkzeug's proxies take one for "there is nothing"; a page would show what strangers see."""
    house.account()
    house.route("/in", lambda: str(log_in("ada", PASSWORD)))
    house.route("/", lambda: "hello" if current_account else "nobody")
    house.post("/in")
    house.app.config["PROPAGATE_EXCEPTIONS"] = False

    async def fail(*_args: Any, **_more: Any) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(house.store, "find", fail)

    assert house.get().status_code == 500
    assert not current_account, "outside a request there is nobody"


@pytest.mark.parametrize(
    "look",
    [
        lambda: current_account.username,
        lambda: current_passage.visit,
        lambda: log_in("ada", PASSWORD),
        lambda: start_session("ada"),
        log_out,
        csrf_token,
    ],
    ids=["account", "passage", "log in", "start", "log out", "token"],
)
@pytest.mark.parametrize("is_in_application", [False, True])
def test_outside_a_request_who_looks_hears_what_to_do(
    house: House, look: Callable[[], object], is_in_application: bool
) -> None:
    with (
        house.app.app_context() if is_in_application else nullcontext(),
        pytest.raises(RuntimeError, match=r"no request is being answered.*desk\.find_account"),
    ):
        look()


@pytest.mark.parametrize("method", ["patch", "start"])
def test_fix_07_a_store_that_fails_at_the_save_is_503_without_a_cookie(house: House, method: str) -> None:
    house.route("/", count)
    if method == "patch":
        house.get()
    house.break_store(method)

    answer = house.get("/", headers=JSON)

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False)


def test_an_application_can_answer_a_failing_store_in_its_own_words(house: House) -> None:
    house.app.register_error_handler(StoreUnavailable, lambda _error: ("back soon", 503))
    house.route("/", count)
    house.get()
    house.break_store("find")

    assert house.get().text == "back soon"


def test_an_application_that_handles_every_exception_still_leaves_refusals_to_us(house: House) -> None:
    house.app.register_error_handler(Exception, lambda _error: ("oh", 500))
    house.route("/members", login_required(lambda: "in"))
    house.route("/bug", lambda: 1 / 0)
    house.route("/none", lambda: abort(404))

    assert house.get("/members", headers=JSON).status_code == 401
    assert (house.get("/bug").text, house.get("/none").status_code) == ("oh", 500)


def test_a_refusal_saves_nothing_that_the_view_changed_and_keeps_a_log_in(house: House) -> None:
    house.account()

    def half() -> str:
        session["x"] = 1
        log_in("ada", PASSWORD)
        session["y"] = 2
        current_passage.require_subject("somebody else")
        return "never"

    house.route("/half", half)
    house.route("/", lambda: dict(session))

    answer = house.post("/half", headers=JSON)

    assert answer.status_code == 403
    assert len([one for one in answer.headers.getlist("Set-Cookie") if one.startswith("coatcheck-dev=")]) == 1
    assert house.get().json == {}


def test_tmo_04_use_is_noted_after_the_answer(house: House) -> None:
    house.account()
    house.route("/in", lambda: str(log_in("ada", PASSWORD)))
    house.route("/", lambda: str(bool(current_account)))
    house.post("/in")
    house.clock.move(120)

    house.get().close()

    ((kept, _),) = house.desk.all_sessions()[0]
    assert int(kept.last_seen_at.timestamp()) == house.clock()


@pytest.mark.parametrize(("seconds", "seen"), [(3659, "True"), (3660, "False")])
def test_tmo_01_disuse_ends_a_session(house: House, seconds: int, seen: str) -> None:
    house.account()
    house.route("/in", lambda: str(log_in("ada", PASSWORD)))
    house.route("/", lambda: str(bool(current_account)))
    house.post("/in")
    house.clock.move(seconds)

    assert house.get().text == seen


@pytest.mark.parametrize("before", ["GET", "POST"])
def test_csr_02_csr_10_what_makes_another_method_of_a_request_makes_no_way_around_the_evidence(before: str) -> None:
    """Of `_method` in a query, as middleware for forms does: a link on another site would act in a visitor's name."""
    app = Flask("overriding")
    app.testing = True
    application = app.wsgi_app

    def overriding(environ: Any, start: Any) -> Any:
        method = environ["QUERY_STRING"].removeprefix("_method=")
        return application(environ | ({"REQUEST_METHOD": method} if method else {}), start)

    app.wsgi_app = overriding  # type: ignore[method-assign]
    desk = Coatcheck("memory://")
    desk.sign_up(username="ada", password=PASSWORD)
    CoatcheckFlask(app, desk)
    app.add_url_rule("/in", "in", lambda: str(log_in("ada", PASSWORD)), methods=["POST"])
    app.add_url_rule("/start", "start", lambda: str(start_session("mallory")), methods=["POST"])
    app.add_url_rule("/it", "it", login_required(lambda: f"{request.method} by ada"), methods=["GET", "DELETE"])
    stranger, ada = app.test_client(), app.test_client()
    ada.post("/in", headers={"Sec-Fetch-Site": "same-origin"})

    def asked(browser: FlaskClient, site: str, path: str) -> Any:
        return browser.open(path, method=before, headers={"Sec-Fetch-Site": site})

    assert asked(ada, "cross-site", "/it?_method=DELETE").status_code == 403
    assert asked(ada, "same-origin", "/it?_method=DELETE").text == "DELETE by ada"
    assert asked(ada, "cross-site", "/it?_method=GET").status_code == (200 if before == "GET" else 403)
    assert asked(stranger, "cross-site", "/start?_method=POST").status_code == (405 if before == "GET" else 403)


# What nobody is shown


def test_err_08_the_debugger_shows_no_secret_of_a_visitor(house: House) -> None:
    house.app.debug = True
    house.account()
    house.route("/in", lambda: str(log_in("ada", PASSWORD)))

    def boom() -> str:
        session["secret"] = "a coat of many colours"
        login = log_in("ada", PASSWORD)
        locals_of_the_view = [session, current_passage, login, current_account, house.desk]
        raise RuntimeError(f"a bug near {locals_of_the_view!r}")

    house.route("/boom", boom)
    house.post("/in")
    token = house.token or ""
    debugged = DebuggedApplication(house.app, evalex=True)
    status: list[str] = []

    environ = {
        **house.app.test_request_context(
            "/boom", method="POST", headers={"Sec-Fetch-Site": "same-origin"}
        ).request.environ,
        "HTTP_COOKIE": f"coatcheck-dev={token}",
    }
    page = b"".join(debugged(environ, lambda line, _headers, _info=None: status.append(line) or (lambda _block: None)))

    assert status == ["500 INTERNAL SERVER ERROR"]
    assert b"a bug near" in page
    assert token.encode() not in page
    assert b"a coat of many" not in page.replace(b"&#34;a coat of many colours&#34;", b"")  # the line of code itself
    assert PASSWORD.encode() not in page


def test_tok_10_what_is_in_the_hands_of_an_application_shows_no_token(house: House) -> None:
    house.account()

    def look() -> str:
        login = log_in("ada", PASSWORD)
        session["secret"] = "a coat of many colours"
        return f"{session!r} {current_passage!r} {login!r} {current_account!r} {current_passage.visit!r}"

    house.route("/", look)

    shown = house.post().text

    assert house.token
    assert house.token not in shown
    assert "colours" not in shown


def test_a_view_may_answer_with_anything_flask_takes(house: House) -> None:
    house.route("/", lambda: (Response("x", status=201), {"X-More": count()}))

    answer = house.get()

    assert (answer.status_code, answer.headers["X-More"], house.token is not None) == (201, "1", True)
