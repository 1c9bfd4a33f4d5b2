"""What an application may rely on, in every door: session data, messages, identity, and the headers that go out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, cast

import msgspec
import pytest

from coatcheck import AsyncCoatcheck, Coatcheck, Forbidden, NotAuthenticated, StepUpRequired, StoreUnavailable
from coatcheck.colour import run_blocking
from coatcheck.errors import BadRequest, ConfigurationError, CrossSite, InvalidData, SessionEnded
from coatcheck.http.messages import Reply, Request, body_reader
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import MovableClock
from coatcheck.web.door import Door, DoorSettings, Exemption
from coatcheck.web.passage import Passage
from coatcheck.web.session_data import SessionData

PASSWORD = "a long enough passphrase"
OWN = ("sec-fetch-site", "same-origin")
Handler = Callable[[Passage], Awaitable[Any]]


class House:
    """An application behind a bare door, and a browser's cookies."""

    def __init__(self, *, settings: dict[str, Any] | None = None, **door: Any) -> None:
        self.clock = MovableClock()
        self.store = MemoryStore()
        self.desk = Coatcheck(self.store, clock=self.clock, settings=settings, secret=bytes(range(7, 39)))
        self.door = Door(self.desk, DoorSettings(**{"development": True, **door}), wanted=Coatcheck)
        self.jar: dict[str, str] = {}
        self.sent: list[tuple[str, str]] = []

    def request(self, method: str, path: str, headers: list[tuple[str, str]]) -> Request:
        cookies = [("cookie", "; ".join(f"{name}={value}" for name, value in self.jar.items()))] if self.jar else []
        return Request(
            method=method,
            path=path,
            query="",
            scheme="http",
            headers=tuple((n.encode(), v.encode()) for n, v in [("host", "localhost:8000"), *cookies, *headers]),
            peer="127.0.0.1",
            read=body_reader(b""),
        )

    def enter(self, method: str = "POST", path: str = "/", headers: list[tuple[str, str]] | None = None) -> Passage:
        passage = self.door.enter(self.request(method, path, [OWN] if headers is None else headers))
        assert isinstance(passage, Passage)
        return passage

    def visit(self, handler: Handler, method: str = "POST", path: str = "/") -> Any:
        """One request from its beginning to its end; what the handler gave."""
        passage = self.enter(method, path)
        answer = run_blocking(self._through(passage, handler))
        self.keep(self.sent)
        return answer

    async def _through(self, passage: Passage, handler: Handler) -> Any:
        await passage.admit(no_token)
        answer = await handler(passage)
        await passage.save()
        self.sent = list(passage.headers(()))
        await passage.finish()
        return answer

    def keep(self, headers: list[tuple[str, str]]) -> None:
        for name, value in headers:
            if name == "set-cookie":
                cookie, _, rest = value.partition(";")
                key, _, text = cookie.partition("=")
                if "Max-Age=0" in rest:
                    self.jar.pop(key, None)
                else:
                    self.jar[key] = text

    def account(self, name: str = "ada") -> Any:
        return self.desk.sign_up(username=name, password=PASSWORD)


@pytest.fixture
def house() -> House:
    return House()


async def no_token() -> str | None:
    return None


async def nothing(_passage: Passage) -> None:
    return None


def put(**values: Any) -> Handler:
    async def handler(passage: Passage) -> None:
        await passage.load()
        passage.values.update(values)

    return handler


async def get(passage: Passage) -> dict[str, object]:
    await passage.load()
    return dict(passage.values)


def log_in(name: str = "ada", **more: Any) -> Handler:
    async def handler(passage: Passage) -> Any:
        return await passage.log_in(name, PASSWORD, **more)

    return handler


async def log_out(passage: Passage) -> bool:
    return await passage.log_out()


# Session data


def test_ses_01_a_request_that_stores_nothing_creates_nothing(house: House) -> None:
    for handler in (nothing, get):
        house.visit(handler, "GET")

        assert "set-cookie" not in dict(house.sent)
    assert house.desk.all_sessions()[0] == []


def test_what_a_stranger_stores_is_there_the_next_time(house: House) -> None:
    house.visit(put(cart=["a coat"], count=1))

    assert house.visit(get, "GET") == {"cart": ["a coat"], "count": 1}
    assert "set-cookie" not in dict(house.sent)


def test_ses_06_two_requests_that_change_two_keys_both_win(house: House) -> None:
    house.visit(put(first=0))
    one, other = house.enter(), house.enter()

    for passage, key in ((one, "one"), (other, "other")):
        run_blocking(passage.load())
        passage.values[key] = 1
    for passage in (one, other):
        run_blocking(passage.save())

    assert house.visit(get) == {"first": 0, "one": 1, "other": 1}


def test_a_change_deep_inside_a_value_is_saved(house: House) -> None:
    house.visit(put(cart={"coats": [1]}))

    async def deepen(passage: Passage) -> None:
        await passage.load()
        passage.values["cart"]["coats"].append(2)  # type: ignore[index]

    house.visit(deepen)

    assert house.visit(get) == {"cart": {"coats": [1, 2]}}


def test_removing_the_only_key_leaves_an_empty_session(house: House) -> None:
    house.visit(put(cart=1))

    async def clear(passage: Passage) -> None:
        await passage.load()
        passage.values.clear()

    house.visit(clear)

    assert house.visit(get) == {}


def test_ses_08_what_is_not_json_is_refused_and_names_its_key_to_the_developer(house: House) -> None:
    house.visit(put(kept=1))

    with pytest.raises(InvalidData) as caught:
        house.visit(put(good=2, bad=object()))

    assert caught.value.key == "bad"
    assert "'bad'" in str(caught.value)
    assert house.visit(get) == {"kept": 1}


def test_ses_05_what_comes_too_late_is_dropped_and_revives_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.account()
    house.visit(log_in())
    slow = house.enter()
    run_blocking(slow.load())
    slow.values["late"] = 1
    house.visit(log_out)
    caplog.set_level(logging.INFO, "coatcheck")

    run_blocking(slow.save())

    assert slow.headers(()) == () or "set-cookie" not in dict(slow.headers(()))
    assert all(death is not None for _, death in house.desk.all_sessions()[0])
    assert "not kept" in caplog.text


def test_a_late_request_of_before_the_log_in_does_not_push_out_its_cookie(house: House) -> None:
    house.account()
    house.visit(put(cart=1))
    old = dict(house.jar)
    house.visit(log_in())
    house.jar, new = old, house.jar

    house.visit(put(seen=1))  # knows the old token only, which log-in has replaced

    assert "set-cookie" not in dict(house.sent)
    house.jar = new
    assert house.visit(get) == {"cart": 1}


def test_what_is_changed_after_the_answer_began_is_saved_where_there_is_a_session(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.visit(put(count=1))
    for jar, expected in ((house.jar, {"count": 1, "late": 2}), ({}, None)):
        house.jar = dict(jar)
        passage = house.enter()
        run_blocking(passage.load())
        run_blocking(passage.save())
        passage.headers(())

        passage.values["late"] = 2
        run_blocking(passage.finish())

        if expected is not None:
            assert house.visit(get) == expected
    assert "nothing was kept" in caplog.text


def test_what_an_application_that_raised_has_changed_is_not_saved_though_it_is_answered(house: House) -> None:
    house.visit(put(count=1))
    passage = house.enter()
    run_blocking(passage.load())
    passage.values["count"] = 2

    assert passage.is_changed
    passage.abandon()
    run_blocking(passage.save())
    passage.headers(())
    run_blocking(passage.finish())

    assert house.visit(get) == {"count": 1}


def test_what_cannot_be_kept_after_the_answer_is_told_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.visit(put(count=1))
    passage = house.enter()
    run_blocking(passage.load())
    passage.headers(())
    passage.values["late"] = object()

    run_blocking(passage.finish())

    assert "not kept: data_not_json (key 'late')" in caplog.text
    assert house.visit(get) == {"count": 1}


def test_a_counter_counts_at_once_and_its_sum_is_seen(house: House) -> None:
    async def count(passage: Passage) -> tuple[int, object]:
        return await passage.increment("visits", 2), passage.values["visits"]

    assert house.visit(count) == (2, 2)
    assert house.visit(count) == (4, 4)
    assert house.visit(get) == {"visits": 4}


def test_applications_at_one_desk_have_data_of_their_own(house: House) -> None:
    shop = Door(house.desk, DoorSettings(development=True, namespace="shop"), wanted=Coatcheck)
    house.visit(put(theme="dark"))
    house.door = shop
    house.visit(put(theme="light"))

    assert house.visit(get) == {"theme": "light"}


def test_err_08_the_mapping_shows_itself_without_what_it_holds(house: House) -> None:
    passage = house.enter()
    data = SessionData(passage, lambda: run_blocking(passage.load()))
    data["secret"] = "a coat of many colours"

    assert "coat" not in repr(data).removeprefix("<SessionData")
    assert (data["secret"], len(data), list(data), "secret" in data) == ("a coat of many colours", 1, ["secret"], True)


# Messages


async def say(passage: Passage) -> None:
    await passage.flash("Hello <b>there</b>", "info")


async def hear(passage: Passage) -> list[tuple[str, str]]:
    return await passage.flashes()


def test_ses_12_a_message_is_shown_once(house: House) -> None:
    house.visit(say)

    assert house.visit(hear, "GET") == [("info", "Hello <b>there</b>")]
    assert house.visit(hear, "GET") == []


def test_ses_12_messages_are_few_and_short(house: House) -> None:
    async def chatter(passage: Passage) -> None:
        for number in range(30):
            await passage.flash(f"{number}" + "x" * 600)

    house.visit(chatter)

    heard = house.visit(hear)
    assert len(heard) == 20
    assert [text[:2] for _, text in heard] == [str(number) for number in range(10, 30)]
    assert {len(text) for _, text in heard} == {500}


def test_ses_12_messages_do_not_cross_a_change_of_identity(house: House) -> None:
    house.account()
    house.visit(say)

    async def come_in(passage: Passage) -> None:
        await passage.flash("to the stranger")
        await passage.log_in("ada", PASSWORD)
        await passage.flash("to ada")

    house.visit(come_in)

    assert house.visit(hear) == [("message", "to ada")]


def test_ses_12_a_message_after_log_out_is_heard_by_nobody_else(house: House) -> None:
    house.account()
    house.visit(log_in())

    async def leave(passage: Passage) -> None:
        await passage.flash("for ada's eyes")
        await passage.log_out()
        await passage.flash("goodbye")

    house.visit(leave)

    assert house.visit(hear) == [("message", "goodbye")]
    assert house.desk.sessions(of=house.desk.find_account("ada").subject) == ()  # type: ignore[union-attr]


# Identity


def test_fix_01_log_in_gives_a_new_token_and_the_planted_one_is_dead(house: House) -> None:
    house.account()
    house.visit(put(cart=1))
    planted = house.jar["coatcheck-dev"]

    house.visit(log_in())

    assert house.jar["coatcheck-dev"] != planted
    assert not house.desk.authenticate(planted)


def test_fix_02_a_strangers_data_crosses_log_in(house: House) -> None:
    house.account()
    house.visit(put(cart=1, is_admin=True, _auth_user_id="root"))

    login = house.visit(log_in())

    assert house.visit(get) == {"cart": 1, "is_admin": True, "_auth_user_id": "root"}
    assert house.desk.authenticate(house.jar["coatcheck-dev"]).subject == login.subject  # type: ignore[union-attr]


@pytest.mark.parametrize("in_one_request", [False, True])
def test_fix_02_keep_at_login_narrows_what_crosses(in_one_request: bool) -> None:
    house = House(settings={"keep_at_login": ["cart"]})
    house.account()
    house.visit(put(cart=1, other=2))
    if in_one_request:
        house.jar.clear()

        async def both(passage: Passage) -> None:
            await put(cart=1, other=2)(passage)
            await passage.log_in("ada", PASSWORD)

        house.visit(both)
    else:
        house.visit(log_in())

    assert house.visit(get) == {"cart": 1}


def test_ses_10_nothing_of_one_subject_reaches_the_next(house: House) -> None:
    house.account("ada")
    house.account("bob")
    house.visit(log_in("ada"))
    house.visit(put(secret="ada's"))
    first = house.jar["coatcheck-dev"]

    async def take_over(passage: Passage) -> None:
        await passage.load()
        passage.values["more"] = "ada's too"
        await passage.log_in("bob", PASSWORD)
        passage.values["own"] = "bob's"

    house.visit(take_over)

    assert house.visit(get) == {"own": "bob's"}
    assert not house.desk.authenticate(first)


def test_who_is_there_changes_within_the_request(house: House) -> None:
    house.account()

    async def come_and_go(passage: Passage) -> list[Any]:
        seen: list[Any] = [await passage.account()]
        login = await passage.log_in("ada", PASSWORD)
        seen.append(await passage.account() == login.account)
        await passage.log_out()
        seen.append(await passage.account())
        return seen

    assert house.visit(come_and_go) == [None, True, None]
    assert house.jar == {name: value for name, value in house.jar.items() if "device" in name}


def test_ses_02_log_out_ends_the_session_before_the_answer(house: House) -> None:
    house.account()
    house.visit(log_in())
    token = house.jar["coatcheck-dev"]
    passage = house.enter()

    assert run_blocking(passage.log_out())

    assert not house.desk.authenticate(token)
    assert run_blocking(passage.log_out()) is False


def test_fix_01_proving_oneself_again_and_a_new_password_change_the_token(house: House) -> None:
    house.account()
    house.visit(log_in())
    house.visit(put(cart=1))
    tokens = [house.jar["coatcheck-dev"]]

    async def again(passage: Passage) -> None:
        await passage.reauthenticate(PASSWORD)

    async def renew(passage: Passage) -> None:
        await passage.change_password(PASSWORD, "another long passphrase")

    for handler in (again, renew):
        house.visit(handler)
        tokens.append(house.jar["coatcheck-dev"])

    assert len(set(tokens)) == 3
    assert [bool(house.desk.authenticate(token)) for token in tokens] == [False, False, True]
    assert house.visit(get) == {"cart": 1}


def test_identity_proven_another_way_starts_a_session(house: House) -> None:
    async def callback(passage: Passage) -> None:
        await passage.start_session("subject-42", methods=("oidc",))

    house.visit(callback, "GET")

    visit = house.desk.authenticate(house.jar["coatcheck-dev"])
    assert visit
    assert (visit.subject, visit.session.methods) == ("subject-42", ("oidc",))


def test_rev_02_logging_out_everywhere_ends_all_sessions_and_leaves_a_stranger_with_a_message(house: House) -> None:
    """Whose message is kept in a session of their own: that of before is over."""
    house.account()
    house.visit(log_in())
    other = house.desk.log_in("ada", PASSWORD).token

    async def leave(passage: Passage) -> int:
        await passage.load()
        ended = await passage.log_out_everywhere()
        await passage.flash("Gone everywhere.")
        return ended

    house.clock.move(300)
    with pytest.raises(StepUpRequired):
        house.visit(leave)
    assert house.desk.authenticate(other)
    house.visit(lambda passage: passage.reauthenticate(PASSWORD))
    old = house.jar["coatcheck-dev"]
    with pytest.raises(BadRequest):
        house.visit(leave, "GET")

    assert house.visit(leave) == 2

    assert [bool(house.desk.authenticate(token)) for token in (other, old)] == [False, False]
    assert house.visit(lambda passage: passage.flashes()) == [("message", "Gone everywhere.")]
    assert not house.visit(lambda passage: passage.account())


def test_ses_03_a_log_out_that_a_get_is_refused_is_named_in_the_log_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with pytest.raises(BadRequest):
            house.visit(log_out, "GET")

    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("log_out: was called while a GET was answered")
    assert "POST alone" in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"large": "x" * 20_000}, "the setting session_data_bytes allows 16384 bytes"),
        ({"when": object()}, "data_not_json (key 'when'): values are JSON"),
        ({"": 1}, "keys are texts of 1 to 256 characters"),
    ],
)
def test_ses_08_what_is_not_kept_is_told_to_the_developer_with_the_rule(
    house: House, values: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    passage = house.enter()
    run_blocking(passage.load())
    passage.values.update(values)

    with pytest.raises(InvalidData) as refused:
        run_blocking(passage.save())
    reply = house.door.refusal(passage, refused.value)

    assert reply.status == 422
    assert said in caplog.text
    assert said.encode() not in reply.body


def test_an_account_is_known_in_the_request_that_starts_its_session_too(house: House) -> None:
    ada = house.account()

    async def enter(passage: Passage) -> Any:
        await passage.start_session(ada.subject)
        return await passage.require_account()

    assert house.visit(enter).subject == ada.subject


def test_whoever_is_a_stranger_has_no_subject_to_stumble_over(house: House) -> None:
    async def subject(passage: Passage) -> str | None:
        return (await passage.visit()).subject

    assert house.visit(subject) is None


def test_a_subject_without_an_account_hears_that_it_has_none(house: House) -> None:
    house.jar["coatcheck-dev"] = house.desk.start_session("oidc|42").token.reveal()

    with pytest.raises(Forbidden) as refused:
        house.visit(lambda passage: passage.require_account())

    assert refused.value.reason == "no_account"


@pytest.mark.parametrize("pages", [True, False])
def test_sessions_for_subjects_of_one_s_own_beside_an_open_sign_up_are_mentioned_once(
    pages: bool, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(pages=pages)

    for subject in ("oidc|1", "oidc|2"):
        house.visit(lambda passage, subject=subject: passage.start_session(subject))  # type: ignore[misc]

    said = [record.message for record in caplog.records if record.message.startswith("pages")]
    assert len(said) == pages
    assert not said or "/auth/signup" in said[0]
    assert not said or "pages=False" in said[0]


def test_sessions_for_accounts_of_ours_are_not_mentioned_and_a_store_in_trouble_spoils_no_log_in(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = house.account()

    async def down(_subject: str) -> Any:
        raise StoreUnavailable("down on purpose")

    with monkeypatch.context() as trouble:
        trouble.setattr(house.store, "account", down)
        house.visit(lambda passage: passage.start_session("oidc|1"))
    house.visit(lambda passage: passage.start_session(ada.subject))

    assert house.jar
    assert "pages" not in caplog.text


def test_ses_03_ses_11_no_get_logs_in_or_out(house: House) -> None:
    house.account()
    house.visit(log_in())

    for handler in (log_in(), log_out):
        with pytest.raises(BadRequest):
            house.visit(handler, "GET")

    assert house.desk.authenticate(house.jar["coatcheck-dev"])


# Guards


async def require_session(passage: Passage) -> Any:
    return await passage.require_session()


async def require_fresh(passage: Passage) -> Any:
    return await passage.require_fresh()


def test_a_guard_lets_in_who_it_should(house: House) -> None:
    ada, bob = house.account("ada"), house.account("bob")

    async def require_ada(passage: Passage) -> Any:
        return await passage.require_subject(ada.subject)

    for handler in (require_session, require_fresh, require_ada):
        with pytest.raises(NotAuthenticated):
            house.visit(handler)
    house.visit(put(cart=1))
    with pytest.raises(NotAuthenticated):  # SES-13: an anonymous session is nobody's
        house.visit(require_session)
    house.visit(log_in("bob"))
    with pytest.raises(Forbidden):
        house.visit(require_ada)
    assert house.visit(require_session).subject == bob.subject
    house.visit(log_in("ada"))
    assert house.visit(require_ada).subject == ada.subject
    house.clock.move(299)
    house.visit(require_fresh)
    house.clock.move(2)
    with pytest.raises(StepUpRequired):
        house.visit(require_fresh)


# Other sites


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ([("sec-fetch-site", "cross-site")], "cross_site"),
        ([("sec-fetch-site", "same-site"), ("origin", "http://sibling.localhost")], "cross_site"),
        ([("origin", "http://evil.example")], "foreign_origin"),
        ([("origin", "null")], "null_origin"),
        ([], "csrf_token_required"),
    ],
)
def test_csr_01_csr_12_a_post_that_a_cookie_decides_needs_evidence(
    house: House, evidence: list[tuple[str, str]], reason: str
) -> None:
    house.account()
    house.visit(log_in())

    with pytest.raises(CrossSite) as caught:
        run_blocking(house.enter(headers=evidence).admit(no_token))

    assert caught.value.reason == reason


def test_csr_06_a_token_of_this_session_is_evidence_and_none_of_another(house: House) -> None:
    house.account()
    house.visit(log_in())

    async def form(passage: Passage) -> str:
        return passage.csrf_token()

    old = house.visit(form, "GET")
    house.visit(log_in())
    new = house.visit(form, "GET")

    run_blocking(house.enter(headers=[("x-csrf-token", new)]).admit(no_token))
    run_blocking(house.enter(headers=[]).admit(_given(new)))
    for stale in (old, new[:-1], "", "ü" * 64):
        with pytest.raises(CrossSite):
            run_blocking(house.enter(headers=[]).admit(_given(stale)))


def test_csr_06_a_form_shown_to_a_stranger_whose_session_began_with_it_is_good_until_log_in(house: House) -> None:
    house.account()

    async def page(passage: Passage) -> str:
        await put(seen=1)(passage)
        return passage.csrf_token()

    token = house.visit(page, "GET")
    run_blocking(house.enter(headers=[]).admit(_given(token)))
    presession = dict(house.jar)
    house.visit(log_in())
    house.jar = presession | house.jar
    with pytest.raises(CrossSite):  # FIX-04, even where the browser keeps the pre-session
        run_blocking(house.enter(headers=[]).admit(_given(token)))


def test_csr_06_a_form_shown_with_a_log_out_is_bound_to_a_stranger(house: House) -> None:
    house.account()
    house.visit(log_in())

    async def leave(passage: Passage) -> str:
        await passage.log_out()
        return passage.csrf_token()

    token = house.visit(leave)

    run_blocking(house.enter(headers=[]).admit(_given(token)))


def test_no_session_starts_when_its_cookie_can_no_longer_be_sent(house: House) -> None:
    house.account()
    passage = house.enter()
    run_blocking(passage.save())
    passage.headers(())

    for late in (passage.log_in("ada", PASSWORD), passage.start_session("x"), passage.increment("visits")):
        with pytest.raises(RuntimeError, match="begun"):
            run_blocking(late)

    assert house.desk.all_sessions()[0] == []


def test_hdr_01_amid_an_answer_that_went_out_as_everybodys_nobody_is_looked_at(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Not by a look, whoever came: a mistake that shows at the first try is better than one that only members meet."""
    looks: list[Callable[[Passage, SessionData], object]] = [
        lambda passage, _data: run_blocking(passage.visit()),
        lambda passage, _data: run_blocking(passage.account()),
        lambda passage, _data: run_blocking(passage.require_session()),
        lambda passage, _data: run_blocking(passage.flashes()),
        lambda passage, _data: run_blocking(passage.increment("x")),
        lambda passage, _data: passage.csrf_token(),
        lambda _passage, data: "x" in data,
        lambda _passage, data: data.pop("x", None),
    ]
    for is_member in (False, True):
        if is_member:
            house.visit(put(x=1))
        for look in looks:
            passage = house.enter("GET")
            data = SessionData(passage, lambda passage=passage: run_blocking(passage.load()))  # type: ignore[misc]
            assert passage.headers((), to_come=6) == ()

            with pytest.raises(RuntimeError, match="look before the answer begins"):
                look(passage, data)

    assert "let caches give it to anybody" in caplog.text
    assert house.visit(get) == {"x": 1}


def test_hdr_01_what_is_changed_there_is_kept_and_when_it_is_over_all_is_as_ever(house: House) -> None:
    house.visit(put(x=1))
    passage = house.enter("GET")
    data = SessionData(passage, lambda: run_blocking(passage.load()))
    assert passage.headers((), to_come=6) == ()

    passage.sent(5)
    data["y"] = 2
    assert passage.is_sealed
    passage.sent(1)
    data["x"] = cast("int", data["x"]) + 1
    run_blocking(passage.finish())

    assert house.visit(get) == {"x": 2, "y": 2}


def test_hdr_01_what_is_removed_there_is_removed_and_tells_nothing(house: House) -> None:
    for remove, left in ((lambda data: data.clear(), {}), (lambda data: data.__delitem__("x"), {"y": 2})):
        house.visit(put(x=1, y=2))
        passage = house.enter("GET")
        data = SessionData(passage, lambda passage=passage: run_blocking(passage.load()))  # type: ignore[misc]
        assert passage.headers((), to_come=6) == ()

        del data["nothing"]
        remove(data)  # type: ignore[no-untyped-call]
        for look in (lambda data: data.pop("x", None), lambda data: data.setdefault("x", 1)):
            with pytest.raises(RuntimeError, match="look before the answer begins"):
                look(data)  # type: ignore[no-untyped-call]
        passage.unseal()
        run_blocking(passage.finish())

        assert house.visit(get) == left


def test_hdr_01_an_answer_that_has_looked_before_may_look_again(house: House) -> None:
    passage = house.enter("GET")
    run_blocking(passage.visit())
    assert passage.headers((), to_come=6) == (("vary", "Cookie"), ("cache-control", "private"))

    assert not run_blocking(passage.visit())


def test_csr_08_a_strangers_token_is_not_made_when_its_cookie_can_no_longer_be_sent(house: House) -> None:
    late = house.enter("GET")
    late.headers(())
    with pytest.raises(RuntimeError, match="begun"):
        late.csrf_token()

    early = house.enter("GET")
    early.csrf_token()
    house.keep(list(early.headers(())))
    assert early.csrf_token(), "its cookie was sent"
    again = house.enter("GET")
    again.headers(())
    assert again.csrf_token(), "its cookie has come along"


def _given(token: str) -> Callable[[], Awaitable[str | None]]:
    async def read() -> str | None:
        return token

    return read


def test_csr_01_a_post_without_a_cookie_of_ours_is_the_applications_own_business_but_for_identity(house: House) -> None:
    house.account()
    webhook = house.enter(headers=[("content-type", "application/x-www-form-urlencoded")])

    run_blocking(webhook.admit(no_token))

    with pytest.raises(CrossSite):
        run_blocking(webhook.log_in("ada", PASSWORD))
    assert house.desk.all_sessions()[0] == []


def test_csr_12_a_token_in_the_header_leaves_the_body_unread(house: House) -> None:
    house.visit(put(count=1))
    token = house.enter(headers=[]).csrf_token()

    async def read_form_token() -> str | None:
        pytest.fail("the body was read")

    run_blocking(house.enter(headers=[("x-csrf-token", token)]).admit(read_form_token))


@pytest.mark.parametrize("allow_cookie", [False, True])
def test_csr_14_an_exempt_path_sees_a_stranger_unless_it_says_otherwise(allow_cookie: bool) -> None:
    house = House(csrf_exempt={"/hook": Exemption(reason="signed by the sender", allow_cookie=allow_cookie)})
    house.account()
    house.visit(log_in())
    passage = house.enter(path="/hook", headers=[("sec-fetch-site", "cross-site")])

    run_blocking(passage.admit(no_token))

    assert bool(run_blocking(passage.visit())) is allow_cookie


@pytest.mark.parametrize("door", ["asgi", "fastapi", "flask", "http_server", "starlette", "wsgi"])
def test_every_door_has_the_exemption_that_its_settings_take(door: str) -> None:
    assert import_module(f"coatcheck.{door}").Exemption is Exemption


def test_csr_02_who_acts_for_somebody_asks_for_the_evidence_that_an_exemption_has_spared() -> None:
    house = House(csrf_exempt={"/hook": Exemption("thought harmless", allow_cookie=True)})
    house.jar["coatcheck-dev"] = house.desk.start_session("ada").token.reveal()

    def admitted(method: str, headers: list[tuple[str, str]], path: str = "/hook") -> Passage:
        passage = house.enter(method, path, headers)
        run_blocking(passage.admit(no_token))
        return passage

    foreign = [("origin", "https://evil.example")]
    for headers, reason in ((foreign, "foreign_origin"), ([], "csrf_token_required")):
        with pytest.raises(CrossSite) as refused:
            run_blocking(admitted("POST", headers).require_evidence("POST"))
        assert refused.value.reason == reason
        with pytest.raises(CrossSite):  # a GET for the door, and no more for what stands behind it
            run_blocking(admitted("GET", headers, "/").require_evidence("DELETE"))
        run_blocking(admitted("GET", headers).require_evidence("GET"))
    run_blocking(admitted("POST", [OWN]).require_evidence("POST"))
    for headers in (foreign, []):  # the same, of a door that knows that method before
        with pytest.raises(CrossSite):
            run_blocking(house.enter("GET", "/", headers).admit(no_token, method="DELETE"))
        with pytest.raises(CrossSite):
            run_blocking(house.enter("POST", "/", headers).admit(no_token, method="GET"))
        run_blocking(house.enter("GET", "/", headers).admit(no_token, method="HEAD"))
    run_blocking(house.enter("GET", "/", [OWN]).admit(no_token, method="DELETE"))

    shown = house.enter("POST", "/", [])
    token = shown.csrf_token()
    with_form = house.enter("POST", "/", [])
    run_blocking(with_form.admit(_given(token)))
    run_blocking(with_form.require_evidence("POST"))  # a form's token has been read: it is not asked for again


def test_ses_11_a_get_that_has_become_a_post_starts_no_session_from_another_site(house: House) -> None:
    """A provider's callback may do that by GET. A form's handler is none, however it was come to."""
    passage = house.enter("GET", "/", [("sec-fetch-site", "cross-site")])
    run_blocking(passage.admit(no_token, method="POST"))  # of a stranger it asks nothing

    with pytest.raises(BadRequest):
        run_blocking(passage.start_session("mallory"))
    run_blocking(house.enter("GET", "/", [("sec-fetch-site", "cross-site")]).start_session("ada"))


def test_csr_13_who_acts_for_somebody_asks_for_a_handshake_s_origin() -> None:
    house = House(csrf_exempt={"/hook": Exemption("thought harmless", allow_cookie=True)})
    house.jar["coatcheck-dev"] = house.desk.start_session("ada").token.reveal()

    def admitted(headers: list[tuple[str, str]]) -> Passage:
        passage = house.enter("GET", "/hook", headers)
        run_blocking(passage.admit_socket())
        return passage

    for headers in ([], [("origin", "https://evil.example")]):
        with pytest.raises(CrossSite):
            run_blocking(admitted(headers).require_evidence_of_socket())
    run_blocking(admitted([("origin", "http://localhost:8000")]).require_evidence_of_socket())


def test_csr_14_what_an_exempt_path_stores_does_not_push_out_the_session_of_whoever_was_sent_there() -> None:
    """Else another site's page could log visitors out with a form."""
    house = House(csrf_exempt={"/hook": Exemption(reason="signed by the sender")})
    house.account()
    house.visit(log_in())

    house.visit(put(seen=1), path="/hook")

    assert "set-cookie" not in dict(house.sent)
    assert house.visit(get) == {}


FOREIGN = [
    [("sec-fetch-site", "cross-site")],
    [("origin", "https://evil.example")],
    [("origin", "null")],
    [("referer", "https://evil.example/page")],
]


@pytest.mark.parametrize("evidence", FOREIGN)
def test_fix_01_csr_01_another_site_begins_no_session_whose_cookie_would_push_out_the_live_one(
    house: House, evidence: list[tuple[str, str]]
) -> None:
    """`SameSite` keeps the cookie from coming along; the answer to a navigation would still set another."""
    for change in (put(cart="the attacker's"), count):
        passage = house.enter(headers=evidence)
        run_blocking(passage.admit(no_token))

        with contextlib.suppress(SessionEnded):  # a counter cannot count
            run_blocking(change(passage))
            run_blocking(passage.save())

        assert "set-cookie" not in dict(passage.headers(()))
    assert house.desk.all_sessions()[0] == []


async def count(passage: Passage) -> None:
    await passage.increment("visits")


def test_fix_01_a_strict_cookie_stays_away_from_links_of_other_sites_and_is_not_pushed_out_by_them() -> None:
    house = House(settings={"same_site": "Strict"})

    for site, begins in (("cross-site", False), ("none", True), ("same-origin", True)):
        passage = house.enter("GET", headers=[("sec-fetch-site", site), ("sec-fetch-dest", "document")])
        run_blocking(put(visits=1)(passage))
        run_blocking(passage.save())

        assert ("set-cookie" in dict(passage.headers(()))) is begins


def test_fix_01_a_script_that_is_late_with_an_old_secret_does_not_push_out_the_new_one(house: House) -> None:
    house.account()
    house.visit(log_in())
    late = house.enter("GET", headers=[("sec-fetch-dest", "empty")])
    navigation = house.enter("GET", headers=[("sec-fetch-dest", "document")])

    async def again(passage: Passage) -> None:
        await passage.reauthenticate(PASSWORD)

    house.visit(again)

    for passage, begins in ((late, False), (navigation, True)):
        run_blocking(put(seen=1)(passage))
        run_blocking(passage.save())
        assert ("set-cookie" in dict(passage.headers(()))) is begins


def test_ses_06_what_a_request_saves_survives_a_new_secret_meanwhile(house: House) -> None:
    house.account()
    house.visit(log_in())
    slow = house.enter()
    run_blocking(put(late=1)(slow))

    async def again(passage: Passage) -> None:
        await passage.reauthenticate(PASSWORD)

    house.visit(again)
    run_blocking(slow.save())

    assert house.visit(get) == {"late": 1}


def test_csr_14_an_exempt_path_sees_a_stranger_though_somebody_looked_before() -> None:
    house = House(csrf_exempt={"/hook": Exemption(reason="signed by the sender")})
    house.account()
    house.visit(log_in())
    house.visit(put(secret=1))
    passage = house.enter(path="/hook", headers=[("sec-fetch-site", "cross-site")])
    assert run_blocking(get(passage)) == {"secret": 1}

    run_blocking(passage.admit(no_token))

    assert not run_blocking(passage.visit())
    assert run_blocking(passage.account()) is None
    assert run_blocking(get(passage)) == {}
    with pytest.raises(SessionEnded):
        run_blocking(passage.increment("visits"))


def test_csr_14_an_exempt_path_changes_nobodys_identity_without_evidence() -> None:
    house = House(csrf_exempt={"/hook": Exemption(reason="signed by the sender")})
    house.account()
    house.visit(log_in())
    passage = house.enter(path="/hook", headers=[])
    run_blocking(passage.admit(no_token))

    for change in (log_in(), log_out):
        with pytest.raises(CrossSite):
            run_blocking(change(passage))

    assert house.desk.authenticate(house.jar["coatcheck-dev"])


def test_csr_10_no_get_changes_a_password_or_renews_a_proof(house: House) -> None:
    house.account()
    house.visit(log_in())
    passage = house.enter("GET")

    for change in (passage.reauthenticate(PASSWORD), passage.change_password(PASSWORD, "another long passphrase")):
        with pytest.raises(BadRequest):
            run_blocking(change)


def test_ses_08_too_much_for_a_stranger_begins_no_session(house: House) -> None:
    passage = house.enter()
    run_blocking(put(cart="x" * 20_000)(passage))

    with pytest.raises(InvalidData):
        run_blocking(passage.save())

    assert house.desk.all_sessions()[0] == []


def test_red_01_the_way_back_from_a_refusal_is_a_path_of_ours(house: House) -> None:
    passage = house.enter("GET", "//evil.example/login", [("accept", "text/html")])

    reply = house.door.refusal(passage, StoreUnavailable("down"))

    assert b"evil" not in reply.body


# What goes out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), {"vary": "Cookie", "cache-control": "private"}),
        ((("Vary", "Accept"), ("Cache-Control", "public, max-age=60")), {"vary": "Accept, Cookie"}),
        ((("vary", "cookie"), ("cache-control", "no-store")), {"vary": "cookie", "cache-control": "no-store"}),
        ((("vary", "*"),), {"vary": "*"}),
        ((("Cache-Control", 'private="x"'),), {"cache-control": 'private, private="x"'}),
        ((("CDN-Cache-Control", "max-age=60"),), {"cache-control": "private"}),
    ],
)
def test_hdr_01_an_answer_that_looked_at_the_session_is_private(
    house: House, given: tuple[tuple[str, str], ...], expected: dict[str, str]
) -> None:
    passage = house.enter("GET")
    data = SessionData(passage, lambda: run_blocking(passage.load()))

    assert len(data) == 0

    headers = dict(passage.headers(given))
    assert headers.items() >= expected.items()
    assert "public" not in headers["cache-control"]


def test_an_answer_that_did_not_look_is_left_alone(house: House) -> None:
    assert house.enter("GET").headers((("etag", '"1"'),)) == (("etag", '"1"'),)


def test_hdr_02_fix_07_an_answer_that_sets_a_session_is_stored_nowhere(house: House) -> None:
    house.account()
    house.visit(log_in())

    assert dict(house.sent)["cache-control"] == "no-store"


def test_cky_02_the_cookie_of_a_door_is_the_servers(house: House) -> None:
    house.visit(put(cart=1))

    (cookie,) = [value for name, value in house.sent if name == "set-cookie"]
    assert cookie.partition("; ")[2] == "Path=/; HttpOnly; SameSite=Lax"


def test_err_01_a_store_that_is_down_is_no_stranger() -> None:
    class Down(MemoryStore):
        async def find(self, _digest: bytes) -> Any:
            raise StoreUnavailable("down")

    house = House()
    house.account()
    house.visit(log_in())
    house.desk.flows.sessions._store = Down()  # the store goes down under a running desk
    passage = house.enter("GET", headers=[("accept", "application/json")])

    with pytest.raises(StoreUnavailable) as caught:
        run_blocking(passage.require_session())

    reply = house.door.refusal(passage, caught.value)
    assert (reply.status, reply.cookies) == (503, [])


def test_hdr_10_a_stranger_is_sent_to_log_in_by_a_page_and_told_by_a_call(house: House) -> None:
    page = house.enter("GET", "/orders/7", [("accept", "text/html")])
    call = house.enter("GET", "/orders/7", [("accept", "application/json")])
    post = house.enter("POST", "/orders/7", [OWN, ("accept", "text/html")])

    to_page, to_call, to_post = (house.door.refusal(one, NotAuthenticated()) for one in (page, call, post))

    assert (to_page.status, dict(to_page.headers)["location"]) == (303, "/auth/login?next=%2Forders%2F7")
    assert (to_call.status, b"not_authenticated" in to_call.body) == (401, True)
    assert dict(to_post.headers)["location"] == "/auth/login"  # STP-08: what was posted is not sent again


def test_tmo_09_use_is_noted_after_the_answer(house: House) -> None:
    house.account()
    login = house.visit(log_in())
    house.clock.move(600)

    house.visit(require_session, "GET")

    (session,) = house.desk.sessions(of=login.subject)
    assert int(session.last_seen_at.timestamp()) == house.clock()


# The door itself


def test_hst_01_another_host_is_not_let_in(house: House) -> None:
    request = house.request("GET", "/", [])
    other = Request(
        method="GET", path="/", query="", scheme="http", headers=((b"host", b"evil.example"),), peer=None,
        read=request.read,
    )  # fmt: skip

    reply = house.door.enter(other)

    assert isinstance(reply, Reply)
    assert reply.status == 421


@pytest.mark.parametrize(
    ("path", "ours"),
    [("/auth", True), ("/auth/login", True), ("/authors", False), ("/", False), ("/x/auth/login", False)],
)
def test_a_door_owns_what_stands_under_its_prefix(house: House, path: str, ours: bool) -> None:
    assert house.door.owns(path) is ours


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"development": False}, "public_url"),
        ({"public_url": "https://shop.example", "development": True}, "development"),
        ({"public_url": "http://shop.example", "development": False}, "public_url"),
        ({"prefix": "auth/"}, "prefix"),
        ({"prefix": ""}, "prefix"),
        ({"namespace": "a b"}, "namespace"),
        ({"trusted_proxies": ["nowhere"]}, "trusted_proxies"),
        ({"trusted_hops": 1}, "trusted_proxies"),
        ({"colour": "blue"}, "colour"),
        ({"csrf_exempt": {"hook": Exemption(reason=" ")}}, "csrf_exempt"),
        ({"templates": "/nowhere/at/all"}, "nowhere/at/all"),
        ({"passive_paths": ["poll"]}, "passive_paths"),
    ],
)
def test_err_03_a_mistake_in_a_setting_is_told_at_start(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        House(**settings)


def test_err_03_a_door_to_the_public_needs_a_secret_and_the_right_desk() -> None:
    desk = Coatcheck(MemoryStore())

    with pytest.raises(ConfigurationError, match="secret"):
        Door(desk, DoorSettings(public_url="https://shop.example"), wanted=Coatcheck)
    with pytest.raises(ConfigurationError, match="AsyncCoatcheck"):
        Door(desk, DoorSettings(development=True), wanted=AsyncCoatcheck)


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_a_proxy_that_nobody_told_of_is_mentioned_once(
    house: House, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        house.enter("GET", headers=[(header, "for=192.0.2.7")])

    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["trusted_hops"]


@pytest.mark.parametrize("path", ["/", "/auth/login"])
def test_hst_01_another_host_in_development_is_told_what_to_set(
    house: House, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = house.request("GET", path, [])
    elsewhere = msgspec.structs.replace(request, headers=((b"host", b"192.0.2.80:5000"), (b"accept", b"text/html")))

    for _ in range(2):
        if house.door.owns(path):
            reply, _exchange = run_blocking(house.door.web.answer(elsewhere))
        else:
            entered = house.door.enter(elsewhere)
            assert isinstance(entered, Reply)
            reply = entered

        assert reply.status == 421
        assert b"only localhost is answered. For any other address set public_url" in reply.body
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["public_url"]


def test_https_that_nobody_told_of_is_mentioned_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    request = house.request("GET", "/", [])
    for _ in range(3):
        house.door.enter(msgspec.structs.replace(request, scheme="https"))

    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["tls"]


def test_what_was_told_is_not_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    house = House(trusted_proxies=["127.0.0.1"], trusted_hops=1, tls=True)
    request = house.request("GET", "/", [("x-forwarded-for", "192.0.2.7")])

    house.door.enter(msgspec.structs.replace(request, scheme="https"))

    assert caplog.records == []


def test_ses_08_data_that_cannot_be_kept_is_told_to_the_developer_with_its_key(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    reply = house.door.refusal(house.enter(), InvalidData("data_not_json", key="cart"))

    assert reply.status == 422
    assert b"cart" not in reply.body
    assert "'cart'" in caplog.text


def test_without_pages_the_prefix_is_the_application_s_and_refusals_are_told_as_json() -> None:
    house = House(pages=False)
    page = [("accept", "text/html")]

    passage = house.enter("GET", "/auth/login", page)
    reply = house.door.refusal(passage, NotAuthenticated())
    refused = house.door.enter(Request(**strange_host(house)))

    assert not house.door.owns("/auth/login")
    assert (reply.status, dict(reply.headers)["content-type"]) == (401, "application/problem+json")
    assert isinstance(refused, Reply)
    assert dict(refused.headers)["content-type"] == "application/problem+json"


def strange_host(house: House) -> dict[str, Any]:
    request = house.request("GET", "/", [("accept", "text/html")])
    told = {name: getattr(request, name) for name in request.__struct_fields__}
    return told | {"headers": ((b"host", b"evil.example"), (b"accept", b"text/html"))}


def test_cky_07_an_application_that_writes_our_cookie_itself_does_not_double_it(house: House) -> None:
    house.account()
    house.visit(log_in())
    passage = house.enter()
    run_blocking(passage.log_out())
    own = (("Set-Cookie", "coatcheck-dev=; Max-Age=0"), ("set-cookie", "coatcheck-dev-x=1"), ("set-cookie", "a=b"))

    told = [value for name, value in passage.headers(own) if name.lower() == "set-cookie"]

    assert [value.partition("=")[0] for value in told] == ["coatcheck-dev-x", "a", "coatcheck-dev"]
