"""Who is there: log-in and log-out from views, guards, the current account, and what templates see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, flash, get_flashed_messages, redirect, render_template_string, session, url_for
from flask.views import MethodView

from coatcheck import InvalidCredentials, InvalidInput, NotAuthenticated, UsernameTaken
from coatcheck.flask import (
    CoatcheckFlask,
    current_account,
    current_passage,
    fresh_login_required,
    log_in,
    log_out,
    login_required,
    same_account_required,
    sign_up,
    start_session,
)
from tests.flask.conftest import PASSWORD, SITE, House

HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}


def enter() -> str:
    return str(log_in("ada", PASSWORD).subject)


def who() -> str:
    return current_account.username or "?" if current_account else "nobody"


def test_a_log_in_is_known_at_once_and_from_then_on(house: House) -> None:
    house.account()
    house.route("/in", lambda: f"{who()} {log_in('ada', PASSWORD).subject == current_account.subject} {who()}")
    house.route("/", who)

    assert house.get().text == "nobody"
    assert house.post("/in").text == "nobody True ada"
    assert house.get().text == "ada"


def test_fix_01_a_log_in_gives_a_new_token_and_the_data_crosses(house: House) -> None:
    house.account()
    house.route("/put", lambda: session.update(cart=["coat"], user_id="root") or "ok")  # type: ignore[func-returns-value]
    house.route("/in", enter)
    house.route("/", lambda: dict(session))
    house.get("/put")
    planted = house.token

    house.post("/in")

    assert house.token != planted
    assert not house.desk.authenticate(planted)
    assert house.get().json == {"cart": ["coat"], "user_id": "root"}


def test_ses_10_another_persons_log_in_ends_the_session_and_carries_nothing_over(house: House) -> None:
    house.account("ada")
    house.account("bob")
    house.route("/in/<name>", lambda name: str(log_in(name, PASSWORD).subject))
    house.route("/put", lambda: session.update(secret="ada's") or flash("for ada") or "ok")  # type: ignore[func-returns-value]
    house.route("/", lambda: dict(session))
    house.post("/in/ada")
    house.get("/put")
    first = house.token

    house.post("/in/bob")

    assert house.get().json == {}
    assert not house.desk.authenticate(first)


def test_ses_02_a_log_out_ends_the_session_and_takes_the_cookie(house: House) -> None:
    house.account()
    house.route("/in", enter)
    house.route("/out", lambda: f"{log_out()} {log_out()} {who()}")
    house.post("/in")
    token = house.token

    assert house.post("/out").text == "True False nobody"

    assert house.token is None
    assert not house.desk.authenticate(token)


@pytest.mark.parametrize("act", [enter, log_out, lambda: sign_up(username="eve", password=PASSWORD)])
def test_ses_03_ses_11_no_link_logs_in_or_out(house: House, act: Callable[[], Any]) -> None:
    house.account()
    house.route("/act", lambda: str(act()))

    assert house.get("/act", headers=JSON).status_code == 405
    assert house.desk.all_sessions()[0] == []


def test_wrong_credentials_are_for_the_view_to_answer_or_for_us(house: House) -> None:
    house.account()

    def caught() -> Any:
        try:
            log_in("ada", "a wrong passphrase")
        except InvalidCredentials:
            flash("Invalid credentials. Please try again.")
            return redirect("/")
        return "in"

    house.route("/caught", caught)
    house.route("/in", lambda: str(log_in("ada", "a wrong passphrase")))

    assert house.post("/caught").status_code == 302
    assert (house.post("/in", headers=JSON).status_code, house.post("/in", headers=HTML).status_code) == (401, 401)


def test_signing_up_opens_an_account_and_logs_nobody_in(house: House) -> None:
    def register() -> str:
        return str(sign_up(username="grace", password=PASSWORD).username) + who()

    house.route("/up", register)

    assert house.post("/up").text == "gracenobody"
    assert house.post("/up", headers=JSON).json["reason"] == UsernameTaken.reason
    house.route("/short", lambda: str(sign_up(username="eve", password="short")))
    assert house.post("/short", headers=JSON).json["reason"] == InvalidInput.reason


def test_a_subject_of_ones_own_is_let_in_by_guards_and_has_no_account(house: House) -> None:
    house.route("/in", lambda: str(start_session("42", methods=("oidc",)).subject))
    house.route("/users/<int:number>", same_account_required("number")(lambda number: f"{number} {who()}"))

    assert house.get("/in").text == "42"  # a provider's callback is a GET

    assert house.get("/users/42").text == "42 nobody"
    assert house.get("/users/43", headers=JSON).status_code == 403


def test_fix_05_identity_is_not_written_through_session_data(house: House) -> None:
    ada = house.account()
    forged = {"_user_id": ada.subject, "user_id": ada.subject, "_fresh": True, "_id": "x", "subject": ada.subject}
    house.route("/put", lambda: session.update(forged) or "ok")  # type: ignore[func-returns-value]
    house.route("/", who)
    house.route("/members", login_required(who))
    house.get("/put")

    assert house.get().text == "nobody"
    assert house.get("/members", headers=JSON).status_code == 401


def test_rem_01_remember_makes_the_cookie_outlive_the_browser(house: House) -> None:
    house.account()
    house.route("/in", lambda: str(log_in("ada", PASSWORD, remember=True)))

    assert "Max-Age=2592000" in str(house.post("/in").headers.getlist("Set-Cookie"))


# Guards


@pytest.fixture
def guarded(house: House) -> House:
    house.account()
    house.route("/in", enter)
    house.route("/members", login_required(who))
    house.route("/fresh", fresh_login_required(who))
    house.route("/users/<one>", login_required(same_account_required("one")(lambda **_: who())))
    return house


@pytest.mark.parametrize("path", ["/members", "/fresh", "/users/anybody"])
def test_ses_13_hdr_10_a_stranger_is_sent_to_log_in_and_back_or_told(guarded: House, path: str) -> None:
    page = guarded.get(f"{path}?a=b", headers=HTML)
    call = guarded.get(path, headers=JSON)
    image = guarded.get(path, headers={**HTML, "Sec-Fetch-Dest": "image"})

    assert (page.status_code, page.location) == (303, f"/auth/login?next={path.replace('/', '%2F')}%3Fa%3Db")
    assert (call.status_code, call.json["reason"], image.status_code) == (401, "not_authenticated", 401)
    assert call.headers["WWW-Authenticate"]


def test_a_member_is_let_in(guarded: House) -> None:
    subject = guarded.post("/in").text

    assert [guarded.get(path).text for path in ("/members", "/fresh", f"/users/{subject}")] == ["ada"] * 3


def test_somebody_elses_page_is_refused(guarded: House) -> None:
    bob = guarded.account("bob").subject
    guarded.post("/in")

    assert guarded.get(f"/users/{bob}", headers=JSON).json["reason"] == "forbidden"
    assert guarded.get(f"/users/{bob}", headers=HTML).status_code == 403


def test_an_old_proof_is_asked_for_again(guarded: House) -> None:
    guarded.post("/in")
    guarded.clock.move(301)

    assert guarded.get("/members").status_code == 200
    page = guarded.get("/fresh", headers=HTML)
    assert (page.status_code, page.location) == (303, "/auth/reauthenticate?next=%2Ffresh")
    assert guarded.get("/fresh", headers=JSON).json["reason"] == "insufficient_user_authentication"


def test_a_guard_without_its_part_of_the_route_lets_nobody_in(guarded: House) -> None:
    guarded.route("/none", same_account_required("id")(who))
    guarded.app.config["PROPAGATE_EXCEPTIONS"] = False
    guarded.post("/in")

    assert guarded.get("/none").status_code == 500


def test_guards_keep_names_and_work_on_class_based_views_and_blueprints(house: House) -> None:
    class Members(MethodView):
        decorators = [login_required]  # noqa: RUF012 - as Flask's documentation has it

        def get(self) -> str:
            return who()

    page = Blueprint("page", __name__, url_prefix="/page")

    @page.before_request
    @login_required
    def check() -> None:
        """Let members in only."""

    page.add_url_rule("/", "index", who)
    house.account()
    house.app.register_blueprint(page)
    house.app.add_url_rule("/members", view_func=Members.as_view("members"))
    house.route("/in", enter)

    assert check.__doc__ == "Let members in only."
    assert [house.get(path, headers=JSON).status_code for path in ("/members", "/page/")] == [401, 401]
    house.post("/in")
    assert [house.get(path).text for path in ("/members", "/page/")] == ["ada", "ada"]


def test_async_views_are_run_the_way_flask_runs_them(house: House) -> None:
    class Asked(Flask):
        def async_to_sync(self, func: Any) -> Any:  # what asgiref does, without its thread
            return lambda *args, **kwargs: asyncio.run(func(*args, **kwargs))

    app = Asked("asked")
    app.testing = True
    CoatcheckFlask(app, house.desk)
    house.account()

    @app.get("/")
    @login_required
    async def index() -> str:
        await asyncio.sleep(0)
        session["seen"] = 1
        return who()

    app.add_url_rule("/in", "enter", enter, methods=["POST"])
    visitor = app.test_client()

    assert visitor.get("/", headers=JSON).status_code == 401
    visitor.post("/in", headers={"Sec-Fetch-Site": "same-origin"})
    assert visitor.get("/").text == "ada"


# Templates


def test_templates_know_the_account_and_the_token(house: House) -> None:
    house.account()
    page = "{{ current_account.username or 'nobody' }} {{ csrf_field() }} {{ url_for('coatcheck.log_out') }}"
    house.route("/in", enter)
    house.route("/", lambda: render_template_string(page))

    stranger, _ = house.get().text, house.post("/in")
    member = house.get().text

    assert stranger.startswith('nobody <input type="hidden" name="csrf_token" value="')
    assert member.startswith("ada <input")
    assert member.endswith('"> /auth/logout')


def test_a_name_is_escaped_in_templates(house: House) -> None:
    house.route("/", lambda: render_template_string("{{ get_flashed_messages()[0] }}"))
    house.route("/say", lambda: flash("<script>") or "ok")  # type: ignore[func-returns-value]
    house.get("/say")

    assert house.get().text == "&lt;script&gt;"


def test_our_pages_have_endpoints(house: House) -> None:
    with house.app.test_request_context():
        assert url_for("coatcheck.log_in", next="/x") == "/auth/login?next=/x"
        assert url_for("coatcheck.account") == "/auth/account"


def test_an_application_can_answer_a_refusal_in_its_own_words(guarded: House) -> None:
    def turn_away(_error: NotAuthenticated) -> Any:
        flash("Please log in first")
        return redirect("/door")

    guarded.app._got_first_request = False
    guarded.app.register_error_handler(NotAuthenticated, turn_away)
    guarded.route("/door", lambda: render_template_string("{{ get_flashed_messages() }}"))

    assert guarded.get("/members", headers=HTML).location == "/door"
    assert "Please log in first" in guarded.get("/door").text


# Our pages, for this application


def form_token(page: str) -> str:
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_our_own_pages_log_in_and_lead_back(guarded: House) -> None:
    page = guarded.get("/auth/login?next=/members")
    fields = {"identifier": "ada", "password": PASSWORD, "next": "/members", "csrf_token": form_token(page.text)}

    answer = guarded.post("/auth/login", data=fields)

    assert (answer.status_code, answer.location) == (303, "/members")
    assert guarded.get("/members").text == "ada"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_red_01_a_log_in_leads_to_no_other_site(guarded: House, target: str) -> None:
    page = guarded.get("/auth/login")
    fields = {"identifier": "ada", "password": PASSWORD, "next": target, "csrf_token": form_token(page.text)}

    assert guarded.post("/auth/login", data=fields).location == "/"


def test_cky_01_cky_02_in_production_the_cookie_is_a_host_cookie() -> None:
    house = House(public_url=SITE, config={})
    house.account()
    house.route("/in", enter)

    answer = house.post("/in", base_url=SITE)

    session_cookie, device = sorted(answer.headers.getlist("Set-Cookie"), key=lambda one: "-device" in one)
    assert session_cookie.startswith("__Host-coatcheck=")
    assert session_cookie.partition(";")[2] == " Path=/; Secure; HttpOnly; SameSite=Lax"
    assert device.startswith("__Host-coatcheck-device=")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_current_account_that_is_nobody_s_says_why(house: House) -> None:
    def who() -> str:
        try:
            return current_account.subject
        except AttributeError as error:
            return f"{bool(current_account)} {current_account == None} {error}"  # noqa: E711 - what a view may ask

    house.route("/", who)
    house.route("/in", lambda: str(start_session("oidc|42")))
    house.route("/page", lambda: render_template_string("<{{ current_account.username }}>"))

    assert house.get().text.startswith("False True current_account.subject: nobody is logged in")
    assert house.get("/page").text == "<>"
    house.post("/in")
    assert "no account of ours; it is current_passage.visit.subject" in house.get().text


def test_logging_out_everywhere_leaves_a_message_for_the_next_page(house: House) -> None:
    house.account()
    other = house.desk.log_in("ada", PASSWORD).token

    def leave() -> str:
        ended = current_passage.log_out_everywhere()
        flash("Gone everywhere.")
        return f"{ended} {who()}"

    house.route("/in", enter)
    house.route("/leave", leave)
    house.route("/", lambda: str(get_flashed_messages()))
    house.post("/in")

    assert house.post("/leave").text == "2 nobody"
    assert house.get().text == "['Gone everywhere.']"
    assert not house.desk.authenticate(other)
