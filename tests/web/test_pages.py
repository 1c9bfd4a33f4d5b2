"""The pages themselves: every template rendered with everything it may be given, then read as a browser would."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import coatcheck.web.pages
from coatcheck import Coatcheck
from coatcheck.core import audit, sessions
from coatcheck.errors import ConfigurationError
from coatcheck.http.hosts import Site
from coatcheck.http.problems import TITLES
from coatcheck.web.mount import Mount
from coatcheck.web.pages import Pages, messages
from docs.trees import parsed

FOLDER = Path(coatcheck.web.pages.__file__).parent
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in sorted((FOLDER / "templates").iterdir())}
HOSTILE = "\"'><script>alert(1)</script><img src=//evil.example/x onerror=alert(2) style=x>{{ 7*7 }}"

ADA = SimpleNamespace(username="ada", email="ada@example.org", subject="subject-42")


def session(*, current: bool = False, words: str = "Firefox on Linux") -> dict[str, Any]:
    return {
        "id": "kQ3f_9aBx2Zc" if current else "Zp81mN-0qWxT",
        "current": current,
        "device": words,
        "user_agent": words,
        "ip": "192.0.2.7",
        "created_at": "21 November 2026, 05:14 UTC",
        "created_iso": "2026-11-21T05:14:00Z",
        "last_seen_at": "21 November 2026, 06:02 UTC",
        "last_seen_iso": "2026-11-21T06:02:00Z",
        "expires_at": "22 November 2026, 05:14 UTC",
        "expires_iso": "2026-11-22T05:14:00Z",
        "remembered": True,
        "methods": ["Password", "oidc"],
    }


def event(
    text: str = "Logged in", *, device: str | None = "curl", ip: str | None = "192.0.2.7", revoked: str | None = None
) -> dict[str, Any]:
    return {
        "text": text,
        "revoked": revoked,
        "at": "21 November 2026, 05:14 UTC",
        "iso": "2026-11-21T05:14:00Z",
        "ip": ip,
        "device": device,
    }


def api(words: str = "Log in") -> dict[str, Any]:
    """A small OpenAPI document with one of everything the page can show."""
    account = {"type": "object", "required": ["subject"], "properties": {"subject": {"type": "string"}}}
    nullable = {"anyOf": [{"$ref": "#/components/schemas/Account"}, {"type": "null"}]}
    body = {
        "type": "object",
        "required": ["identifier", "password"],
        "properties": {
            "identifier": {"type": "string", "description": words},
            "password": {"type": "string"},
            "remember": {"type": "boolean", "default": False},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"API {words}", "version": "1.0", "description": words},
        "tags": [{"name": "Visits", "description": words}],
        "components": {
            "schemas": {"Account": account},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "session"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "paths": {
            "/api/login": {
                "post": {
                    "tags": ["Visits"],
                    "summary": words,
                    "description": words,
                    "requestBody": {"description": words, "content": {"application/json": {"schema": body}}},
                    "responses": {
                        "200": {
                            "description": words,
                            "headers": {"Set-Cookie": {}},
                            "content": {"application/json": {"schema": {"properties": {"account": nullable}}}},
                        },
                        "401": {
                            "description": words,
                            "content": {"application/problem+json": {"schema": {"properties": {"reason": {}}}}},
                        },
                    },
                }
            },
            "/api/sessions/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "delete": {
                    "tags": ["Devices"],
                    "deprecated": True,
                    "security": [{"session": []}],
                    "responses": {"204": {"description": "Revoked."}},
                },
            },
            "/api/me": {"get": {"security": [{"bearer": []}], "responses": {"200": {"description": words}}}},
        },
    }


def errors(*fields: str | None, message: str = "Please fill this in.") -> list[dict[str, str | None]]:
    return [{"field": name, "message": message} for name in fields]


FORM: dict[str, Any] = {"csrf_token": "token"}
ACCOUNT: dict[str, Any] = FORM | {
    "account": ADA,
    "sessions": [session(current=True), session()],
    "events": [event(), event(device=None, ip=None)],
    "minimum_length": 15,
    "member_since": "3 January 2026",
    "member_since_iso": "2026-01-03",
}
HOSTILE_ACCOUNT = SimpleNamespace(username=HOSTILE, email=HOSTILE, subject=HOSTILE)
HOSTILE_FRAME: dict[str, Any] = {
    "notice": HOSTILE,
    "next": HOSTILE,
    "csrf_token": HOSTILE,
    "errors": errors(None, "identifier", "username", "current_password", message=HOSTILE),
    "values": {"identifier": HOSTILE, "username": HOSTILE, "email": HOSTILE, "remember": "on"},
}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "log_in": ("log_in.html", FORM),
    "log_in_after_sign_up": (
        "log_in.html",
        FORM | {"notice": "Your account is open.", "values": {"identifier": "ada"}},
    ),
    "log_in_without_remember": ("log_in.html", FORM | {"remember_allowed": False, "notice": "You have logged out."}),
    "log_in_refused": (
        "log_in.html",
        FORM | {"errors": errors(None), "values": {"identifier": "ada", "remember": "on"}},
    ),
    "log_in_incomplete": (
        "log_in.html",
        FORM | {"errors": errors("identifier", "password"), "next": "/account?a=1&b=2"},
    ),
    "log_in_hostile": ("log_in.html", HOSTILE_FRAME),
    "sign_up": ("sign_up.html", FORM | {"minimum_length": 15, "development": True}),
    "sign_up_incomplete": (
        "sign_up.html",
        FORM | {"minimum_length": 8, "errors": errors("username", "email", "password")},
    ),
    "sign_up_hostile": ("sign_up.html", HOSTILE_FRAME | {"minimum_length": 15}),
    "reauthenticate": ("reauthenticate.html", FORM | {"account": ADA, "next": "/account"}),
    "reauthenticate_refused": ("reauthenticate.html", FORM | {"account": ADA, "errors": errors("password")}),
    "reauthenticate_hostile": ("reauthenticate.html", HOSTILE_FRAME | {"account": HOSTILE_ACCOUNT}),
    "account": ("account.html", ACCOUNT),
    "account_alone": ("account.html", ACCOUNT | {"sessions": [session(current=True)], "events": []}),
    "account_refused": ("account.html", ACCOUNT | {"errors": errors("current_password", "new_password")}),
    "account_hostile": (
        "account.html",
        ACCOUNT
        | HOSTILE_FRAME
        | {
            "account": HOSTILE_ACCOUNT,
            "sessions": [session(current=True, words=HOSTILE), session(words=HOSTILE)],
            "events": [event(HOSTILE, device=HOSTILE, ip=HOSTILE), event("Revoked", revoked=HOSTILE)],
        },
    ),
    "log_out": ("log_out.html", FORM | {"account": ADA}),
    "log_out_stranger": ("log_out.html", FORM),
    "problem": ("problem.html", {"status": 404, "title": "Nothing hangs here", "message": "There is no such page."}),
    "problem_that_passes": (
        "problem.html",
        {
            "status": 429,
            "title": "Too many tries",
            "message": "Wait.",
            "retry_after": 30,
            "account": ADA,
            "csrf_token": "t",
        },
    ),
    "problem_hostile": (
        "problem.html",
        {"status": 400, "title": HOSTILE, "message": HOSTILE, "again": "/account"},
    ),
    "docs": ("docs.html", {"document": api()}),
    "docs_empty": ("docs.html", {"document": {"openapi": "3.1.0", "info": {}}}),
    "docs_hostile": ("docs.html", {"document": api(HOSTILE)}),
}

HOSTILE_CASES = [name for name in CASES if name.endswith("_hostile")]
FORM_PAGES = [name for name, (template, _) in CASES.items() if template not in ("problem.html", "docs.html")]
VOID = {"input", "link", "meta", "path", "circle", "rect", "br"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: list[Element] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        return self.attributes[name] or ""


class Reading(HTMLParser):
    """A page as a flat list of elements in document order; each knows its text and its descendants."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(page)
        self.close()
        assert not self._open, f"not closed: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of {tag} stands twice: {names}"
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        for outer in self._open:
            outer.inside.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *tags: str, **attributes: str) -> list[Element]:
        return [
            element
            for element in self.elements
            if element.tag in tags and all(element.attributes.get(key) == value for key, value in attributes.items())
        ]

    def ids(self) -> list[str]:
        return [element["id"] for element in self.elements if "id" in element.attributes]

    def shown_fields(self) -> list[Element]:
        return [e for e in self.all("input") if e.attributes.get("type") != "hidden" and "hidden" not in e.attributes]


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


def read(pages: Pages, case: str) -> Reading:
    template, context = CASES[case]
    return Reading(pages.render(template, **context).decode())


# every template


def test_every_page_template_has_a_case() -> None:
    assert {template for template, _ in CASES.values()} == {n for n in SOURCES if n[0] != "_" and n != "base.html"}


@pytest.mark.parametrize("case", CASES)
def test_every_template_renders_well_formed_with_one_heading_and_its_landmarks(pages: Pages, case: str) -> None:
    page = read(pages, case)

    assert [len(page.all(tag)) for tag in ("html", "title", "h1", "main", "header", "footer")] == [1] * 6
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("h1")[0].text.strip() in page.all("title")[0].text


@pytest.mark.parametrize("case", CASES)
def test_every_id_is_unique_and_every_reference_finds_one(pages: Pages, case: str) -> None:
    page = read(pages, case)
    ids = page.ids()

    referred = [
        name
        for element in page.elements
        for attribute in ("for", "aria-describedby", "aria-labelledby")
        for name in (element.attributes.get(attribute) or "").split()
    ]
    anchors = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]

    assert len(ids) == len(set(ids))
    assert set(referred) | set(anchors) <= set(ids)


@pytest.mark.parametrize("case", CASES)
def test_the_first_link_skips_to_the_main_content(pages: Pages, case: str) -> None:
    page = read(pages, case)

    assert page.all("a")[0]["href"] == "#main"
    assert page.all("main")[0]["id"] == "main"


def test_what_a_page_needs_and_is_not_given_is_an_error_and_not_an_empty_place(pages: Pages) -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError, match="csrf_token"):
        pages.render("log_in.html")


def test_what_cannot_be_written_as_utf_8_does_not_break_the_page(pages: Pages) -> None:
    page = pages.render("log_in.html", csrf_token="t", values={"identifier": "a\ud800b"})

    assert b'value="a?b"' in page


# what strangers typed


@pytest.mark.parametrize("case", HOSTILE_CASES)
def test_what_strangers_typed_is_escaped_everywhere(pages: Pages, case: str) -> None:
    page = read(pages, case)

    assert page.all("script", "img", "style") == []
    assert HOSTILE in "".join(element.text for element in page.all("body"))
    assert not [element for element in page.elements if {"onerror", "style"} & set(element.attributes)]


@pytest.mark.parametrize("case", ["log_in_hostile", "sign_up_hostile"])
def test_red_03_next_is_percent_encoded_in_links(pages: Pages, case: str) -> None:
    links = [link["href"] for link in read(pages, case).all("a") if "next=" in link["href"]]

    assert links
    assert all(re.fullmatch(r"[/a-z]+\?next=[A-Za-z0-9%+._~-]+", link) for link in links)


# loads and scripts


@pytest.mark.parametrize("case", CASES)
def test_hdr_03_no_page_has_inline_style_script_or_event_handlers(pages: Pages, case: str) -> None:
    page = read(pages, case)

    assert page.all("script", "style", "base", "object", "embed", "iframe", "meta", **{"http-equiv": "refresh"}) == []
    assert page.all("script", "style", "base", "object", "embed", "iframe", "template", "math") == []
    assert not [
        (element.tag, name)
        for element in page.elements
        for name in element.attributes
        if name == "style" or name.startswith("on") or name == "srcdoc"
    ]


@pytest.mark.parametrize("case", CASES)
def test_hdr_03_no_page_loads_or_posts_to_anywhere_else(pages: Pages, case: str) -> None:
    page = read(pages, case)

    targets = [
        element[name]
        for element in page.elements
        for name in ("href", "src", "action", "formaction", "srcset", "poster", "xlink:href", "ping")
        if name in element.attributes
    ]

    assert targets
    assert all(re.match(r"/(?!/)|#", target) for target in targets)


def test_hdr_03_stylesheet_and_icon_load_nothing() -> None:
    for name in ("coatcheck.css", "icon.svg"):
        content = (FOLDER / "assets" / name).read_text(encoding="utf-8")

        assert not re.search(r"url\(|@import|@font-face|<script|<style|style=|href|data:", content), name
        assert content.count("http") == content.count("http://www.w3.org/2000/svg")


# forms


@pytest.mark.parametrize("case", FORM_PAGES)
def test_csr_06_every_form_posts_and_carries_the_csrf_token(pages: Pages, case: str) -> None:
    page = read(pages, case)
    token = CASES[case][1]["csrf_token"]

    forms = page.all("form")

    assert forms
    for form in forms:
        assert form["method"] == "post"
        assert [e["value"] for e in form.inside if e.attributes.get("name") == "csrf_token"] == [token]


@pytest.mark.parametrize("case", FORM_PAGES)
def test_pwd_17_password_fields_say_what_they_are_and_permit_paste(pages: Pages, case: str) -> None:
    page = read(pages, case)
    expected = {
        "identifier": ("text", "username"),
        "username": ("text", "username"),
        "email": ("email", "email"),
        "password": ("password", "new-password" if case.startswith("sign_up") else "current-password"),
        "current_password": ("password", "current-password"),
        "new_password": ("password", "new-password"),
    }

    typed = [element for element in page.shown_fields() if element["type"] != "checkbox"]

    assert typed or case.startswith("log_out")
    for element in typed:
        assert (element["type"], element["autocomplete"]) == expected[element["name"]]
    assert not [e for e in page.elements if "onpaste" in e.attributes or e.attributes.get("autocomplete") == "off"]


@pytest.mark.parametrize("case", FORM_PAGES)
def test_pwd_17_nothing_cuts_or_refuses_a_pasted_password_and_none_is_given_back(pages: Pages, case: str) -> None:
    for element in read(pages, case).all("input", type="password"):
        assert not {"maxlength", "minlength", "pattern", "value"} & set(element.attributes)


@pytest.mark.parametrize("case", ["account", "reauthenticate"])
def test_pwd_17_password_managers_learn_whose_password_it_is_and_nothing_is_sent_for_it(
    pages: Pages, case: str
) -> None:
    (whose,) = [e for e in read(pages, case).all("input") if "hidden" in e.attributes]

    assert (whose["autocomplete"], whose["value"]) == ("username", "ada")
    assert "name" not in whose.attributes


@pytest.mark.parametrize("case", FORM_PAGES)
def test_every_field_has_one_label_with_words(pages: Pages, case: str) -> None:
    page = read(pages, case)

    for element in page.shown_fields():
        labels = page.all("label", **{"for": element["id"]})
        assert len(labels) == 1
        assert labels[0].text.strip()


@pytest.mark.parametrize("case", FORM_PAGES)
def test_every_button_says_what_it_does_and_to_what(pages: Pages, case: str) -> None:
    said = [" ".join(button.text.split()) for button in read(pages, case).all("button")]

    assert all(said)
    assert len(said) == len(set(said))


@pytest.mark.parametrize(
    ("case", "fields"),
    [
        ("log_in_incomplete", ["identifier", "password"]),
        ("sign_up_incomplete", ["username", "email", "password"]),
        ("reauthenticate_refused", ["password"]),
        ("account_refused", ["current_password", "new_password"]),
    ],
)
def test_errors_are_told_on_top_and_at_their_field(pages: Pages, case: str, fields: list[str]) -> None:
    page = read(pages, case)
    (summary,) = [element for element in page.all("div") if element.attributes.get("role") == "alert"]
    texts = {element["id"]: element.text for element in page.elements if "id" in element.attributes}

    assert [link["href"] for link in summary.inside if link.tag == "a"] == [f"#{name}" for name in fields]
    assert page.all("title")[0].text.startswith("Error: ")
    assert page.elements.index(summary) < page.elements.index(page.all("form", novalidate=None)[-1])
    for name in fields:
        (element,) = page.all("input", id=name)
        assert element["aria-invalid"] == "true"
        assert any("Please fill this in." in texts[each] for each in element["aria-describedby"].split())


def test_an_error_of_no_field_here_is_told_without_a_link(pages: Pages) -> None:
    page = Reading(pages.render("log_in.html", csrf_token="t", errors=errors(None, "elsewhere")).decode())
    (summary,) = [element for element in page.all("div") if element.attributes.get("role") == "alert"]

    assert [element.tag for element in summary.inside].count("li") == 2
    assert [element for element in summary.inside if element.tag == "a"] == []


@pytest.mark.parametrize("case", FORM_PAGES)
def test_at_most_one_thing_takes_the_focus_and_errors_come_first(pages: Pages, case: str) -> None:
    focused = [element for element in read(pages, case).elements if "autofocus" in element.attributes]

    assert len(focused) <= 1
    if CASES[case][1].get("errors"):
        assert focused[0]["role"] == "alert"


@pytest.mark.parametrize(
    ("case", "field"),
    [
        ("log_in", "identifier"),
        ("log_in_without_remember", "identifier"),
        ("log_in_after_sign_up", "password"),
        ("sign_up", "username"),
        ("reauthenticate", "password"),
    ],
)
def test_the_first_field_to_fill_in_has_the_focus(pages: Pages, case: str, field: str) -> None:
    page = read(pages, case)

    assert [e["id"] for e in page.elements if "autofocus" in e.attributes] == [field]


@pytest.mark.parametrize("case", ["log_in_without_remember", "log_in_after_sign_up"])
def test_a_notice_is_read_out_with_the_field_that_has_the_focus(pages: Pages, case: str) -> None:
    page = read(pages, case)
    (focused,) = [element for element in page.elements if "autofocus" in element.attributes]

    assert "notice" in focused["aria-describedby"].split()
    assert [e.text for e in page.all("p", id="notice")] == [CASES[case][1]["notice"]]


@pytest.mark.parametrize("case", ["problem", "problem_that_passes", "problem_hostile"])
def test_every_problem_has_a_way_on(pages: Pages, case: str) -> None:
    main = read(pages, case).all("main")[0]

    ways = [link["href"] for link in main.inside if link.tag == "a"]

    assert ways == [*([CASES[case][1]["again"]] if "again" in CASES[case][1] else []), "/"]


def test_either_name_is_enough_to_sign_up_so_neither_is_called_required(pages: Pages) -> None:
    page = read(pages, "sign_up")

    required = {element["id"] for element in page.shown_fields() if "required" in element.attributes}

    assert required == {"password"}
    assert messages.text("sign_up.names_hint") in page.all("form")[0].text


def test_an_account_shows_the_names_it_has_and_no_empty_ones(pages: Pages) -> None:
    nameless = SimpleNamespace(username=None, email="ada@example.org", subject="subject-42")

    page = Reading(pages.render("account.html", **ACCOUNT | {"account": nameless}).decode())

    assert "None" not in page.all("body")[0].text
    assert [e.text for e in page.all("dt")[:2]] == ["E-mail address", "Member since"]


def test_the_event_of_a_revocation_names_the_device_that_was_revoked_and_the_one_it_was_done_on(pages: Pages) -> None:
    events = [event("A device was logged out", device="Firefox on Linux", revoked="Chrome on Android")]

    page = Reading(pages.render("account.html", **ACCOUNT | {"events": events}).decode())

    (what,), (where,) = page.all("p", **{"class": "what"}), page.all("p", **{"class": "where"})
    assert what.text == "A device was logged out: Chrome on Android"
    assert "Firefox on Linux" in where.text


def test_pages_that_do_not_ask_who_is_there_offer_a_link_that_serves_both(pages: Pages) -> None:
    for case in ("docs", "problem"):
        (nav,) = [e for e in read(pages, case).all("nav") if e["aria-label"] == messages.text("page.header")]

        assert [link["href"] for link in nav.inside if link.tag == "a"] == ["/account"]


def test_what_was_typed_is_given_back(pages: Pages) -> None:
    page = read(pages, "log_in_refused")

    assert page.all("input", id="identifier")[0]["value"] == "ada"
    assert "checked" in page.all("input", id="remember")[0].attributes


def test_next_goes_with_the_form_and_with_the_link(pages: Pages) -> None:
    page = read(pages, "log_in_incomplete")

    assert page.all("input", name="next")[0]["value"] == "/account?a=1&b=2"
    assert page.all("a", href="/signup?next=%2Faccount%3Fa%3D1%26b%3D2")


# the account page


def test_each_other_device_can_be_revoked_and_the_current_one_is_marked(pages: Pages) -> None:
    page = read(pages, "account")
    revoked = [e["value"] for e in page.all("input", name="session_id")]

    current, other = [e for e in page.all("li") if (e.attributes.get("class") or "").startswith("device")]

    assert revoked == ["Zp81mN-0qWxT"]
    assert "This device" in current.text
    assert "This device" not in other.text
    assert "Password, oidc" in other.text
    assert len(page.all("form", action="/account/sessions/revoke-others")) == 1


def test_with_one_device_and_no_events_the_page_says_so(pages: Pages) -> None:
    page = read(pages, "account_alone")

    assert messages.text("account.only_here") in page.all("main")[0].text
    assert messages.text("account.no_events") in page.all("main")[0].text
    assert page.all("form", action="/account/sessions/revoke-others") == []


# the API reference

LOG_IN_LINE = r"""curl "$BASE/api/login" \
  -c cookies.txt \
  -H 'Content-Type: application/json' \
  -d '{"identifier": "ada", "password": "a long enough passphrase"}'"""


def test_the_reference_shows_calls_by_tag_with_members_and_a_curl_line(pages: Pages) -> None:
    page = read(pages, "docs")
    text = " ".join(page.all("main")[0].text.split())

    assert [heading.text for heading in page.all("h2")] == ["Visits", "Devices", "API"]
    assert "account.subject string, required" in text
    assert "Refusals 401 POST /api/login" in text
    assert text.count("reason any") == 1
    assert [e.text for e in page.all("code") if e.text.startswith("curl")] == [
        LOG_IN_LINE,
        'curl "$BASE/api/sessions/ID" \\\n  -X DELETE \\\n  -b cookies.txt -c cookies.txt \\\n  -H "Origin: $BASE"',
        'curl "$BASE/api/me" \\\n  -H "Authorization: Bearer $TOKEN"',
    ]


def test_the_reference_ends_where_a_schema_contains_itself(pages: Pages) -> None:
    loop = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Loop"}}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Loop"}}}}
    circle = {"$ref": "#/components/schemas/Circle"}
    document = {
        "info": {},
        "components": {"schemas": {"Loop": loop, "Circle": circle}},
        "paths": {"/x": {"post": {"requestBody": body, "responses": {"200": circle, "400": {"$ref": "#/none"}}}}},
    }

    page = pages.render("docs.html", document=document).decode()

    assert "<code>child.child.child</code>" in page
    assert "<code>child.child.child.child</code>" not in page


# texts


CALL = re.compile(r"\bt\((\"[a-z_.]+\"(?: if \w+ else \"[a-z_.]+\")?)[,)]")


def keys_in_templates() -> set[str]:
    calls = [call[1] for source in SOURCES.values() for call in CALL.finditer(source)]
    return {key for call in calls for key in re.findall(r"\"([a-z_.]+)\"", call)}


def keys_in_code() -> set[str]:
    tree = parsed((FOLDER / "messages.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    units = [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "_counted" and isinstance(call.args[0], ast.Constant)
    ]
    return {f"duration.{unit}{plural}" for unit in units for plural in ("", "s")}


BY_CODE = ("reason.", "problem.", "event.", "notice.", "method.")


def test_every_key_a_template_speaks_is_written_out_and_in_the_catalogue() -> None:
    for name, source in SOURCES.items():
        assert len(re.findall(r"\bt\(", source)) == len(CALL.findall(source)), name
    assert keys_in_templates() | keys_in_code() <= set(messages.CATALOGUE)


def test_no_key_of_the_catalogue_is_unused() -> None:
    spoken = keys_in_templates() | keys_in_code()

    assert {key for key in messages.CATALOGUE if not key.startswith(BY_CODE)} - spoken == set()


def test_no_template_has_words_of_its_own() -> None:
    """All that is left without tags, expressions and comments is punctuation."""
    for name, source in SOURCES.items():
        bare = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<!doctype html>|<[^>]*>", " ", source, flags=re.DOTALL)
        attributes = re.findall(r'(?:aria-label|title|alt|placeholder)="([^"{]+)', source)

        assert re.findall(r"[A-Za-z]{2,}", bare) == [], name
        assert attributes == [], name


def test_texts_found_by_a_code_take_no_values() -> None:
    assert [key for key, text in messages.CATALOGUE.items() if key.startswith(BY_CODE) and "{" in text] == []


def test_every_reason_of_a_problem_and_of_an_ended_session_has_its_sentence() -> None:
    deaths = {value for name, value in vars(sessions).items() if name.isupper() and isinstance(value, str)}

    assert {reason for reason in {*TITLES, *deaths} if f"reason.{reason}" not in messages.CATALOGUE} == set()


def test_every_security_event_has_its_line() -> None:
    names = {kind.name for kind in audit.Event.__subclasses__()}

    assert {name for name in names if f"event.{name}" not in messages.CATALOGUE} == set()


def test_a_code_without_words_of_its_own_gets_general_ones() -> None:
    assert messages.for_reason("invented") == messages.text("reason.refused")
    assert messages.for_event("invented") == messages.text("event.event")
    assert messages.for_method("invented") == "invented"
    assert messages.for_notice("invented") is None
    assert (messages.for_status(418), messages.for_status(599)) == (
        messages.text("problem.400"),
        messages.text("problem.500"),
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "1 second"),
        (1, "1 second"),
        (30, "30 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (121, "3 minutes"),
        (7199, "120 minutes"),
        (7200, "2 hours"),
        (7201, "3 hours"),
    ],
)
def test_a_wait_is_said_in_words_and_never_too_short(seconds: int, said: str) -> None:
    assert messages.duration(seconds) == said


# paths, assets, overriding


def test_paths_and_forms_stand_under_the_mount_prefix() -> None:
    mounted = Pages(prefix="/auth")

    page = Reading(mounted.render("account.html", **ACCOUNT).decode())

    assert mounted.path("log_in", next="/a b", other=None) == "/auth/login?next=%2Fa+b"
    assert all(form["action"].startswith("/auth/") for form in page.all("form"))
    assert all(link["href"].startswith(("/auth/", "#")) for link in page.all("a", "link"))


@pytest.mark.parametrize("template", ["account.html", "problem.html"])
def test_pages_below_a_prefix_lead_back_to_the_application(template: str) -> None:
    context = ACCOUNT | {"status": 404, "title": "Not found", "message": "There is nothing here.", "csrf_token": "t"}
    desk = Coatcheck("memory://")
    site = Site.configure(development=True)

    def links(**settings: Any) -> list[str]:
        page = Reading(Mount(desk, site, **settings).pages.render(template, **context).decode())
        return [link["href"] for link in page.all("a")]

    back = links(prefix="/auth", home="/shop?a=1")
    assert back.count("/shop?a=1") == (2 if template == "problem.html" else 1)
    assert "/shop" not in links(home="/shop")
    without = links(prefix="/auth")
    assert without == links(prefix="/auth", home="/auth/account")
    assert all(link.startswith(("/auth/", "#")) for link in without)


@pytest.mark.parametrize(
    ("key", "content_type"), [("stylesheet", "text/css; charset=utf-8"), ("icon", "image/svg+xml")]
)
def test_an_asset_is_served_under_the_name_that_holds_its_hash_and_no_other(
    pages: Pages, key: str, content_type: str
) -> None:
    name = pages.path(key).removeprefix("/assets/")

    asset = pages.asset(name)

    assert asset is not None
    assert asset.content_type == content_type
    assert re.fullmatch(r"(coatcheck|icon)\.[0-9a-f]{8}\.(css|svg)", name)
    assert asset.etag == f'"{name.split(".")[1]}"'
    assert [pages.asset(wrong) for wrong in ("coatcheck.css", "icon.svg", "coatcheck.00000000.css", "../x", "")] == [
        None
    ] * 5


def test_a_file_in_the_template_folder_wins_over_ours(tmp_path: Path, pages: Pages) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "coatcheck.css").write_text("body { color: teal }", encoding="utf-8")
    (tmp_path / "problem.html").write_text("{% extends 'base.html' %}{% set heading = 'Mine' %}", encoding="utf-8")

    own = Pages(templates=tmp_path)

    assert b"Mine" in own.render("problem.html", status=404, title="x", message="y")
    assert b'name="identifier"' in own.render("log_in.html", csrf_token="t")
    assert own.path("icon") == pages.path("icon")
    assert own.path("stylesheet") != pages.path("stylesheet")
    assert own.asset(own.path("stylesheet").removeprefix("/assets/")).body == b"body { color: teal }"  # type: ignore[union-attr]


def test_overriding_templates_are_escaped_too(tmp_path: Path) -> None:
    (tmp_path / "problem.html").write_text("{{ message }}", encoding="utf-8")

    assert Pages(templates=tmp_path).render("problem.html", message="<b>") == b"&lt;b&gt;"


def test_a_template_folder_that_does_not_exist_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        Pages(templates=tmp_path / "nowhere")


def test_a_template_of_ones_own_has_the_forms_field_as_every_door_has_it(tmp_path: Path) -> None:
    import jinja2

    (tmp_path / "log_in.html").write_text("<form method=post>{{ csrf_field() }}</form>", encoding="utf-8")
    own = Pages(templates=tmp_path)

    rendered = own.render("log_in.html", csrf_token='t"><b>')

    assert rendered == b'<form method=post><input type="hidden" name="csrf_token" value="t&#34;&gt;&lt;b&gt;"></form>'
    with pytest.raises(jinja2.UndefinedError, match="csrf_token"):
        own.render("log_in.html")


def test_a_file_that_replaces_nothing_is_named_at_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "assets").mkdir()
    for name in ("login.html", "account.html", "assets/coatcheck.css", "assets/logo.png", ".gitignore"):
        (tmp_path / name).write_text("{{ url_for(x) | of_another_engine }}" * (name == "login.html"), encoding="utf-8")

    Pages(templates=tmp_path)

    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(
        "templates: assets/logo.png, login.html: nothing of ours has this name; we have _device.html, "
    )
    assert ", log_in.html, " in said


def test_a_part_that_another_template_names_is_in_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "logo.html").write_text("Logo", encoding="utf-8")
    (tmp_path / "frame.html").write_text("{% include 'parts/logo.html' %}", encoding="utf-8")
    (tmp_path / "problem.html").write_text("{% extends 'frame.html' %}", encoding="utf-8")

    assert Pages(templates=tmp_path).render("problem.html") == b"Logo"
    assert caplog.records == []


def test_where_names_are_made_when_a_page_is_rendered_nothing_is_said_to_be_idle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.html").write_text("A", encoding="utf-8")
    (tmp_path / "problem.html").write_text("{% include status ~ '.html' %}", encoding="utf-8")

    assert Pages(templates=tmp_path).render("problem.html", status="a") == b"A"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"fine\n{% if %}", "templates: problem.html, line 2: Expected an expression"),
        (b"{{ t(title) | shout }}", "templates: problem.html, line 1: No filter named 'shout'"),
        (b"caf\xe9", "templates: problem.html is not UTF-8"),
    ],
)
def test_err_03_a_template_that_cannot_be_read_stops_the_start(tmp_path: Path, written: bytes, told: str) -> None:
    (tmp_path / "problem.html").write_bytes(written)

    with pytest.raises(ConfigurationError, match=f"^{re.escape(told)}"):
        Pages(templates=tmp_path)


def test_without_jinja2_the_error_names_the_extra_and_importing_pages_costs_no_jinja2() -> None:
    program = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from coatcheck.errors import ConfigurationError\n"
        "from coatcheck.web.pages import Pages\n"
        "try: Pages()\n"
        "except ConfigurationError as error: print(error)"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "coatcheck[pages]" in ran.stdout


# colours


def colours(scheme: str) -> dict[str, tuple[float, ...]]:
    sheet = (FOLDER / "assets" / "coatcheck.css").read_text(encoding="utf-8")
    light, _, rest = sheet.partition("@media (prefers-color-scheme: dark)")
    chosen = light if scheme == "light" else rest[: rest.index("@media")]
    found = re.findall(r"--([a-z-]+): #([0-9a-f]{6});", chosen)
    return {name: tuple(int(value[i : i + 2], 16) / 255 for i in (0, 2, 4)) for name, value in found}


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.2, "contrast ratio"."""

    def luminance(colour: tuple[float, ...]) -> float:
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


TEXT_PAIRS = [
    *((text, ground) for text in ("ink", "muted", "action") for ground in ("wall", "paper", "stub", "good-wash")),
    *(("ink", ground) for ground in ("danger-wash",)),
    *(("danger", ground) for ground in ("paper", "danger-wash")),
    ("brass-deep", "stub"),
    ("on-action", "action"),
    ("on-action", "action-over"),
]
SHAPE_PAIRS = [
    *(("edge", ground) for ground in ("paper", "wall")),
    *(("focus", ground) for ground in ("paper", "wall", "stub", "danger-wash")),
    ("brass", "wall"),
    ("brass", "paper"),
    ("danger", "wall"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_is_readable_by_wcag_aa(scheme: str, text: str, ground: str) -> None:
    palette = colours(scheme)

    assert contrast(palette[text], palette[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPE_PAIRS)
def test_borders_and_focus_are_visible_by_wcag_aa(scheme: str, shape: str, ground: str) -> None:
    palette = colours(scheme)

    assert contrast(palette[shape], palette[ground]) >= 3
