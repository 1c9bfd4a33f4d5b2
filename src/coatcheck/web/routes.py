"""The route table: what there is to visit and to call. OpenAPI is written from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from coatcheck.http.messages import Reply
from coatcheck.web import answers
from coatcheck.web.actions import account, log_in, log_out, password, reauthenticate, sessions, sign_up
from coatcheck.web.exchange import Exchange, FormTrouble, Outcome

Action = Callable[[Exchange, Any], Awaitable[Outcome]]
View = Callable[[Exchange, FormTrouble], Awaitable[Reply]]


class Page(Struct, frozen=True):
    """A page to look at (GET)."""

    path: str
    view: View


class Form(Struct, frozen=True):
    """A form to post. Refused, it is shown again by `view`."""

    path: str
    action: Action
    fields: type[Struct]
    view: View
    # A form that takes something away from nobody needs no token: logging out without a session (SES-04).
    is_harmless_without_session: bool = False


class Call(Struct, frozen=True):
    """A JSON call. `answer` is the shape of its body for `status`; None means 204. `refusals` are its own statuses."""

    method: str
    path: str
    action: Action
    fields: type[Struct]
    summary: str
    status: int = 204
    answer: type[Struct] | None = None
    tag: str = "Session"
    refusals: tuple[int, ...] = ()
    needs_session: bool = True


ROUTES: tuple[Page | Form | Call, ...] = (
    Page("/", account.home),
    Page("/signup", sign_up.sign_up_page),
    Form("/signup", sign_up.sign_up, sign_up.SignUpFields, sign_up.sign_up_page),
    Page("/login", log_in.log_in_page),
    Form("/login", log_in.log_in, log_in.LogInFields, log_in.log_in_page),
    Page("/logout", log_out.log_out_page),
    Form("/logout", log_out.log_out, log_out.NoFields, log_out.log_out_page, is_harmless_without_session=True),
    Page("/reauthenticate", reauthenticate.reauthenticate_page),
    Form(
        "/reauthenticate",
        reauthenticate.reauthenticate,
        reauthenticate.ReauthenticateFields,
        reauthenticate.reauthenticate_page,
    ),
    Page("/account", account.account_page),
    Page("/account/password", account.form_left),
    Form("/account/password", password.change_password, password.ChangePasswordFields, account.account_page),
    Page("/account/sessions/revoke", account.form_left),
    Form("/account/sessions/revoke", sessions.revoke, sessions.RevokeFields, account.account_page),
    Page("/account/sessions/revoke-others", account.form_left),
    Form("/account/sessions/revoke-others", sessions.revoke_others, log_out.NoFields, account.account_page),
    Call(
        "POST",
        "/api/signup",
        sign_up.sign_up,
        sign_up.SignUpFields,
        "Open an account",
        status=201,
        answer=answers.SignedUpAnswer,
        tag="Account",
        refusals=(409, 422, 429, 503),
        needs_session=False,
    ),
    Call(
        "POST",
        "/api/login",
        log_in.log_in,
        log_in.LogInFields,
        "Log in with a password; sets the session cookie",
        status=200,
        answer=answers.LogInAnswer,
        refusals=(401, 422, 429, 503),
        needs_session=False,
    ),
    Call(
        "POST",
        "/api/logout",
        log_out.log_out,
        log_out.NoFields,
        "Log out: end the session and clear the cookie",
        needs_session=False,
    ),
    Call(
        "GET",
        "/api/me",
        account.me,
        log_out.NoFields,
        "Who is logged in, and in which session",
        status=200,
        answer=answers.LogInAnswer,
    ),
    Call(
        "GET",
        "/api/csrf",
        account.csrf_token,
        log_out.NoFields,
        "A CSRF token for cookie clients that send neither Origin nor Sec-Fetch-Site",
        status=200,
        answer=answers.CsrfAnswer,
        needs_session=False,
    ),
    Call(
        "POST",
        "/api/reauthenticate",
        reauthenticate.reauthenticate,
        reauthenticate.ReauthenticateFields,
        "Prove identity again; the session gets a new cookie",
        refusals=(422, 429, 503),
    ),
    Call(
        "GET",
        "/api/sessions",
        sessions.list_sessions,
        account.PageFields,
        "List the account's live sessions",
        status=200,
        answer=answers.SessionsAnswer,
        tag="Devices",
    ),
    Call(
        "DELETE",
        "/api/sessions/{id}",
        sessions.revoke_by_path,
        log_out.NoFields,
        "End one session by its public id",
        tag="Devices",
        refusals=(404,),
    ),
    Call(
        "POST",
        "/api/sessions/revoke-others",
        sessions.revoke_others,
        log_out.NoFields,
        "End all sessions but this one",
        status=200,
        answer=answers.RevokedAnswer,
        tag="Devices",
    ),
    Call(
        "DELETE",
        "/api/sessions",
        sessions.revoke_everywhere,
        log_out.NoFields,
        "End all sessions, this one too",
        tag="Devices",
    ),
    Call(
        "POST",
        "/api/password/change",
        password.change_password,
        password.ChangePasswordFields,
        "Change the password; other sessions end, this one gets a new cookie",
        tag="Account",
        refusals=(422, 429, 503),
    ),
    Call(
        "GET",
        "/api/events",
        account.events,
        account.PageFields,
        "The account's recent security events",
        status=200,
        answer=answers.EventsAnswer,
        tag="Account",
    ),
)
