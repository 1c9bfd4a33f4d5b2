"""Putting the door into an application: factories, settings, and every mistake told before a visitor meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from coatcheck import AsyncCoatcheck, Coatcheck, ConfigurationError
from coatcheck.flask import CoatcheckFlask, current_account, log_in, login_required
from tests.e2e.serving import environment
from tests.flask.conftest import PASSWORD, SECRET, SITE, House


def count() -> str:
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


def application(**config: Any) -> Flask:
    app = Flask("shop")
    app.config.update(config)
    app.add_url_rule("/", "count", count)
    return app


def desk(**more: Any) -> Coatcheck:
    return Coatcheck("memory://", **more)


def test_a_factory_brings_application_and_desk_late() -> None:
    door = CoatcheckFlask(namespace="shop")
    store = desk()
    apps = [application(TESTING=True), application(TESTING=True)]

    for app in apps:
        door.init_app(app, store)

    assert [app.test_client().get("/").text for app in apps] == ["1", "1"]


def test_settings_may_stand_in_the_configuration_and_arguments_win() -> None:
    app = application(TESTING=True, COATCHECK={"prefix": "/login", "cookie_name": "configured"})
    CoatcheckFlask(app, desk(), cookie_name="given")

    visitor = app.test_client()

    assert visitor.get("/login/login").status_code == 200
    assert visitor.get("/").headers["Set-Cookie"].startswith("given-dev=")


def test_settings_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_COATCHECK__prefix", "/door")
    app = application(TESTING=True)
    app.config.from_prefixed_env()
    CoatcheckFlask(app, desk())

    assert app.test_client().get("/door/login").status_code == 200


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["TESTING", "DEBUG"])
def test_cky_04_debug_and_testing_imply_development_whenever_they_are_switched_on(when: str, how: str) -> None:
    app = application()
    if when == "before":
        app.config[how] = True
    CoatcheckFlask(app, desk())
    app.config[how] = True

    assert app.test_client().get("/").headers["Set-Cookie"].startswith("coatcheck-dev=")


def test_cky_04_public_url_wins_over_debug() -> None:
    app = application(TESTING=True)
    CoatcheckFlask(app, desk(secret=SECRET), public_url=SITE)

    assert app.test_client().get("/", base_url=SITE).headers["Set-Cookie"].startswith("__Host-coatcheck=")
    assert app.test_client().get("/").status_code == 421


def test_err_03_neither_production_nor_development_is_told_by_the_first_request() -> None:
    app = application()
    CoatcheckFlask(app, desk())

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="public_url: set it to the https address"):
            app.test_client().get("/")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"public_url": "http://shop.example"}, "public_url: must begin with https"),
        ({"public_url": SITE}, "secret: is missing"),
        ({"public_url": SITE, "development": True}, "development: cannot be asked for"),
        ({"prefix": "auth"}, "prefix: 'auth' must begin with a slash"),
        ({"trusted_hops": 1}, "trusted_proxies: is missing"),
        ({"templates": "/nowhere"}, "the template folder /nowhere does not exist"),
        ({"colour": "red"}, "colour: there is no such setting"),
        ({"Public-URL": SITE}, "Public-URL: there is no such setting of a door; did you mean public_url?"),
        ({"prefix": 3}, "prefix: 3 is not a text"),
        ({"prefix": 3, "prefx": "/auth"}, "prefx: there is no such setting of a door; did you mean prefix?"),
        ({"allowed_hosts": "shop.example.org"}, "allowed_hosts: 'shop.example.org' is not a list of texts"),
        ({"development": "yes"}, "development: 'yes' is not True or False"),
    ],
)
def test_err_03_mistakes_are_told_at_start(settings: dict[str, Any], named: str) -> None:
    for config in ({}, {"TESTING": True}):
        with pytest.raises(ConfigurationError, match=named):
            CoatcheckFlask(application(**config), desk(), **settings)
        with pytest.raises(ConfigurationError, match=named):
            CoatcheckFlask(application(**config, COATCHECK=settings), desk())


def test_err_03_a_door_without_a_desk_or_with_the_wrong_one_is_told() -> None:
    with pytest.raises(ConfigurationError, match="desk: is missing"):
        CoatcheckFlask(application())
    with pytest.raises(ConfigurationError, match=r"desk: is a str; give this door a desk, Coatcheck\(...\)") as caught:
        CoatcheckFlask(application(TESTING=True), "postgresql://ada:hush@db/shop")  # type: ignore[arg-type]
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="this door needs Coatcheck"):
        CoatcheckFlask(application(TESTING=True), AsyncCoatcheck("memory://"))  # type: ignore[arg-type]


def test_err_03_a_door_installed_twice_or_over_anothers_sessions_is_told() -> None:
    app = application(TESTING=True)
    CoatcheckFlask(app, desk())
    with pytest.raises(ConfigurationError, match="shop has it already"):
        CoatcheckFlask(app, desk())

    class Other(SecureCookieSessionInterface):
        """What another extension would bring."""

    app = application(TESTING=True)
    app.session_interface = Other()
    with pytest.raises(ConfigurationError, match=r"session_interface: shop has that of tests\.flask\.test_setup"):
        CoatcheckFlask(app, desk())


def test_err_03_sessions_of_another_extension_that_came_later_are_told() -> None:
    app = application(TESTING=True)
    CoatcheckFlask(app, desk())
    app.session_interface = SecureCookieSessionInterface()

    with pytest.raises(ConfigurationError, match=r"that of flask\.sessions has come after ours"):
        app.test_client().get("/")


def test_err_03_a_route_hidden_behind_ours_is_told() -> None:
    app = application(TESTING=True)
    app.add_url_rule("/auth/login", "own", count)
    CoatcheckFlask(app, desk())

    with pytest.raises(ConfigurationError, match="prefix: hides /auth/login of shop"):
        app.test_client().get("/")


def test_a_door_installed_after_the_first_request_is_told() -> None:
    app = application(TESTING=True)
    app.test_client().get("/nowhere")

    with pytest.raises(AssertionError, match="first request"):
        CoatcheckFlask(app, desk())


def test_a_view_of_an_application_without_the_door_is_told() -> None:
    app = Flask("shop")
    app.testing = True
    app.add_url_rule("/", "who", lambda: str(bool(current_account)))

    with pytest.raises(ConfigurationError, match="CoatcheckFlask: is missing in shop"):
        app.test_client().get("/")


@pytest.mark.parametrize("door", ["none", "passed by", "its own"])
def test_csr_12_an_application_behind_anothers_door_learns_nothing_of_its_visitor(door: str) -> None:
    """It would act for whoever is logged in without a look at where a request comes from."""
    outer, inner = application(TESTING=True), Flask("inner")
    inner.testing = True
    inner.add_url_rule("/delete", "delete", login_required(lambda: f"by {current_account.username}"), methods=["POST"])
    way: Any = inner.wsgi_app if door == "passed by" else inner
    outer.add_url_rule("/in", "in", lambda: str(log_in("ada", PASSWORD)), methods=["POST"])
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": way})  # type: ignore[method-assign]
    shared = desk(secret=SECRET)
    shared.sign_up(username="ada", password=PASSWORD)
    CoatcheckFlask(outer, shared)
    if door != "none":
        CoatcheckFlask(inner, shared)
    browser = outer.test_client()
    browser.post("/in", headers={"Sec-Fetch-Site": "same-origin"})

    for site in ("same-site", "same-origin"):
        if door == "its own":
            answer = browser.post("/inner/delete", headers={"Sec-Fetch-Site": site})
            assert answer.status_code == (200 if site == "same-origin" else 403)
            assert "private" in answer.headers["Cache-Control"] or answer.status_code == 403
        else:
            with pytest.raises(ConfigurationError, match=r"CoatcheckFlask: .* inner"):
                browser.post("/inner/delete", headers={"Sec-Fetch-Site": site})


def test_a_request_context_of_a_foreign_host_has_no_session_and_says_why() -> None:
    app = application(TESTING=True)
    CoatcheckFlask(app, desk())

    with app.test_request_context(base_url=SITE):
        assert session.get("x") is None
        for act in (lambda: session.update(x=1), lambda: bool(current_account), count):
            with pytest.raises(ConfigurationError, match="give a base_url"):
                act()


def test_mounted_below_a_path_links_and_pages_agree() -> None:
    house = House(config={"TESTING": True, "APPLICATION_ROOT": "/shop"}, prefix="/shop/auth")
    house.route("/", count)

    assert "/shop/auth/signup" in house.get("/auth/login", base_url="http://localhost/shop").text
    assert house.get("/", base_url="http://localhost/shop").text == "1"


def test_templates_of_the_application_win_over_ours(tmp_path: Path) -> None:
    (tmp_path / "log_in.html").write_text("<p>our own words {{ csrf_token }}</p>")
    house = House(templates=tmp_path)

    assert house.get("/auth/login").text.startswith("<p>our own words")


def test_applications_around_ours_are_seen_through() -> None:
    """What ProxyFix makes of an address is believed, for the application has put it there."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    house = House()
    house.account()
    house.route("/in", lambda: str(log_in("ada", PASSWORD)))
    house.app.wsgi_app = ProxyFix(house.app.wsgi_app)  # type: ignore[method-assign]

    house.post("/in", headers={"X-Forwarded-For": "192.0.2.7"})

    assert [kept.ip for kept, _ in house.desk.all_sessions()[0]] == ["192.0.2.7"]


def test_without_flask_the_import_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['flask'] = None\nimport coatcheck.flask"

    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert "ImportError: coatcheck.flask needs Flask: pip install 'coatcheck[flask]'" in ran.stderr
