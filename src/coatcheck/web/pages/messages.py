"""Every text a visitor reads, in one catalogue: change or translate it here.

Keys are `page.purpose`. `{names}` are filled in when the text is shown, and escaped by the page. Five groups are looked
up by a code, with the `for_...` functions below, and take no values: `reason.*`, a sentence for each stable reason;
`problem.<status>`, a heading; `event.*`, a line for each security event; `notice.*`, what has just been done; and
`method.*`, how identity was proven.
"""

from __future__ import annotations

from collections.abc import Mapping

CATALOGUE: Mapping[str, str] = {
    # the frame of every page
    "page.language": "en",
    "page.name": "Coatcheck",
    "page.title": "{title} · Coatcheck",
    "page.title_with_errors": "Error: {title} · Coatcheck",
    "page.skip": "Skip to the main content",
    "page.header": "Site",
    "page.development": "Development mode. Good for this machine only: not a place for real accounts.",
    "page.home": "To the start page",
    "page.application": "Back to the site",
    "page.again": "Try again",
    "page.footer": "You hand in your coat, you get a ticket. The ticket says nothing about the coat.",
    # parts of forms
    "form.error": "Error:",
    "form.errors": "There is a problem",
    # the ticket
    "ticket.number": "No.",
    # log in
    "log_in.title": "Log in",
    "log_in.identifier": "User name or e-mail address",
    "log_in.password": "Password",
    "log_in.remember": "Keep me logged in on this device",
    "log_in.remember_hint": "Leave this empty on a device you share.",
    "log_in.submit": "Log in",
    "log_in.new_here": "No account yet?",
    # sign up
    "sign_up.title": "Sign up",
    "sign_up.names_hint": "Choose a user name, give an e-mail address, or both. You can log in with either.",
    "sign_up.username": "User name",
    "sign_up.username_hint": "3 to 32 letters, digits, dots, hyphens or underscores; a letter or digit first.",
    "sign_up.email": "E-mail address",
    "sign_up.password": "Password",
    "sign_up.submit": "Sign up",
    "sign_up.known_here": "Already have an account?",
    "password.hint": "At least {minimum} characters, of any kind. A passphrase of several words is best.",
    # re-authenticate
    "reauthenticate.title": "Confirm it is you",
    "reauthenticate.why": "What you are about to do needs a fresh proof that it is you.",
    "reauthenticate.stay": "You stay logged in.",
    "reauthenticate.no_account": "You have no password here, for you logged in another way. Log out, and log in again "
    "as you did.",
    "reauthenticate.account": "Logged in as",
    "reauthenticate.password": "Password",
    "reauthenticate.submit": "Confirm",
    "reauthenticate.back": "Back to your account",
    # log out
    "log_out.title": "Log out",
    "log_out.why": "Your ticket for this device will be worth nothing from that moment on.",
    "log_out.submit": "Log out",
    # account
    "account.title": "Your account",
    "account.profile": "Profile",
    "account.username": "User name",
    "account.email": "E-mail address",
    "account.member_since": "Member since",
    "account.devices": "Devices",
    "account.devices_hint": "Each ticket is a browser or program that is logged in as you. "
    "Revoke a ticket, and it is worth nothing from that moment on.",
    "account.only_here": "This is the only ticket. When you log in somewhere else, that one will hang here, too.",
    "account.current": "This device",
    "account.remembered": "Remembered",
    "account.last_seen": "Last seen",
    "account.created": "Logged in",
    "account.expires": "Expires",
    "account.methods": "Proven by",
    "account.user_agent": "Called itself",
    "account.details": "Details",
    "account.details_of": "of ticket {number}",
    "account.revoke": "Revoke",
    "account.revoke_which": "ticket {number}, {device}",
    "account.revoke_others": "Log out everywhere else",
    "account.change_password": "Change password",
    "account.change_password_hint": "All other devices are logged out with it.",
    "account.current_password": "Current password",
    "account.new_password": "New password",
    "account.change_password_submit": "Change password",
    "account.events": "Recent events",
    "account.events_hint": "Not you? Change your password.",
    "account.event_revoked": "{event}: {device}",
    "account.no_events": "Nothing has happened yet.",
    # how identity was proven, by `amr` value
    "method.pwd": "Password",
    # a problem that passes
    "page.retry_after": "Please wait {duration}, then try again.",
    # the API reference
    "docs.title": "API reference",
    "docs.intro": "JSON goes in and comes out. Written from",
    "docs.base": "In the examples, $BASE is the address this server answers at, such as https://login.example.org.",
    "docs.version": "Version {version}",
    "docs.contents": "Contents",
    "docs.no_operations": "This document describes no calls.",
    "docs.deprecated": "Deprecated",
    "docs.parameters": "Parameters",
    "docs.body": "Request body",
    "docs.responses": "Responses",
    "docs.refusals": "Refusals",
    "docs.refusals_hint": "Every refusal has a body of this shape.",
    "docs.example": "Example",
    "docs.required": "required",
    "docs.fields": "Members",
    "docs.fields_of": "of the answer {status}",
    # how long
    "duration.second": "1 second",
    "duration.seconds": "{count} seconds",
    "duration.minute": "1 minute",
    "duration.minutes": "{count} minutes",
    "duration.hour": "1 hour",
    "duration.hours": "{count} hours",
    # headings of problems, by status
    "problem.400": "That request could not be read",
    "problem.401": "Please log in",
    "problem.403": "That request was refused",
    "problem.404": "Nothing hangs here",
    "problem.405": "That cannot be done here",
    "problem.408": "That took too long",
    "problem.409": "That is taken",
    "problem.413": "That is too much at once",
    "problem.415": "That form of request is not understood",
    "problem.421": "That address is not served here",
    "problem.development_host": "In development mode only localhost is answered. For any other address set public_url.",
    "problem.422": "Something needs correcting",
    "problem.429": "Too many tries",
    "problem.500": "Something broke on our side",
    "problem.503": "Back in a moment",
    # why a request was refused, by reason
    "reason.refused": "This request was refused.",
    "reason.bad_request": "This request could not be understood.",
    "reason.busy": "Many people are logging in at this moment.",
    "reason.body_timeout": "What was sent did not arrive in time. Please try again.",
    "reason.body_too_large": "More was sent than is accepted here.",
    "reason.corrupt_record": "Something kept here can no longer be read.",
    "reason.cross_site": "This request did not come from one of our own pages.",
    "reason.csrf_token_invalid": "This page had been open for too long, or you logged in or out in another tab "
    "meanwhile. Nothing has been done: please try again.",
    "reason.csrf_token_required": "The token (csrf_token) was missing from the form that this page sent. "
    "Nothing has been done: please try again.",
    "reason.email_taken": "There is an account with this e-mail address already.",
    "reason.foreign_origin": "This request did not come from one of our own pages.",
    "reason.foreign_referer": "This request did not come from one of our own pages.",
    "reason.forbidden": "This belongs to somebody else.",
    "reason.host_mismatch": "The address of this request cannot be understood.",
    "reason.insufficient_user_authentication": "Please confirm that it is you before you go on.",
    "reason.internal_error": "This was not your doing. Please try again later.",
    "reason.invalid_credentials": "No account goes with this name and this password.",
    "reason.invalid_data": "What was sent cannot be kept.",
    "reason.invalid_fields": "Some of what you typed is missing or cannot be read.",
    "reason.invalid_input": "Some of what you typed needs correcting.",
    "reason.malformed_form": "This form arrived damaged. Go back and try again.",
    "reason.malformed_host": "The address of this request cannot be understood.",
    "reason.malformed_json": "What was sent cannot be read.",
    "reason.method_not_allowed": "This address does not answer that kind of request.",
    "reason.missing_host": "The address of this request cannot be understood.",
    "reason.no_account": "This needs an account of this site. You are logged in another way, and have none here.",
    "reason.no_origin_evidence": "This request did not come from one of our own pages.",
    "reason.not_found": "There is no such page, or it is not yours to see.",
    "reason.null_origin": "This request did not say which page it came from.",
    "reason.repeated_header": "This request could not be understood.",
    "reason.repeated_host": "The address of this request cannot be understood.",
    "reason.session_not_found": "There is no such ticket any more.",
    "reason.store_conflict": "Two requests met, and this one had to give way.",
    "reason.store_unavailable": "The counter cannot be reached at the moment.",
    "reason.too_deep": "What was sent cannot be read.",
    "reason.too_many_attempts": "Too many tries have failed. Nothing was checked this time.",
    "reason.too_many_fields": "More was sent than is accepted here.",
    "reason.unknown_host": "This address is not served here.",
    "reason.unsupported_media_type": "What was sent is in a form that is not accepted here.",
    "reason.username_taken": "This user name is taken. Please choose another.",
    # why one field was refused, by reason
    "reason.bad_encoding": "This holds characters that cannot be read.",
    "reason.email_invalid": "This does not look like an e-mail address, such as name@example.org.",
    "reason.current_password_missing": "Enter your current password.",
    "reason.identifier_missing": "Enter your user name or e-mail address.",
    "reason.identifier_too_long": "This is too long for a name or an address.",
    "reason.invalid": "This cannot be used here.",
    "reason.invalid_password": "That is not your current password.",
    "reason.missing": "Please fill this in.",
    "reason.new_password_missing": "Enter a new password.",
    "reason.not_text": "This cannot be read as text.",
    "reason.out_of_bounds": "This is too small or too large.",
    "reason.password_missing": "Enter your password.",
    "reason.password_not_text": "This holds characters that cannot be read.",
    "reason.password_too_long": "This password is too long.",
    "reason.password_too_short": "This password is too short.",
    "reason.repeated": "This was sent more than once.",
    "reason.username_invalid": "This user name is too short or too long, or has a character that is not allowed.",
    "reason.username_or_email_missing": "Choose a user name, or give an e-mail address.",
    "reason.wrong_type": "This is not the kind of value expected here.",
    # why there is no session (any more)
    "reason.not_authenticated": "Please log in to see this page.",
    "reason.no_session": "Please log in to see this page.",
    "reason.duplicate_cookie": "Your browser holds two tickets for this place and both were sent. Please log in again.",
    "reason.unknown_session": "Your ticket is not known here. Please log in again.",
    "reason.session_ended": "Your session has ended. Please log in again.",
    "reason.idle_timeout": "You were away for a while, so your session has ended. Please log in again.",
    "reason.absolute_timeout": "Your session has reached its greatest age. Please log in again.",
    "reason.logged_out": "You have logged out.",
    "reason.revoked": "This device was logged out from elsewhere. Please log in again.",
    "reason.replaced": "You logged in anew, and this older session ended. Please log in again.",
    "reason.too_many_sessions": "You are logged in on too many devices, so the one least used was logged out.",
    "reason.everybody_revoked": "Everybody was logged out by an operator. Please log in again.",
    "reason.password_changed": "The password was changed. Please log in with the new one.",
    "reason.account_disabled": "Your session has ended. Please log in again.",
    # what has happened, by event
    "event.event": "Something happened",
    "event.signed_up": "Account opened",
    "event.logged_in": "Logged in",
    "event.log_in_failed": "A log-in was refused",
    "event.throttled": "A log-in was turned away after too many failed tries",
    "event.logged_out": "Logged out",
    "event.session_revoked": "A device was logged out",
    "event.session_evicted": "The least used of too many devices was logged out",
    "event.sessions_revoked": "Several devices were logged out at once",
    "event.session_expired": "A session had run out",
    "event.session_rotated": "A ticket was exchanged for a new one",
    "event.reauthenticated": "Confirmed with the password",
    "event.reauthentication_failed": "A confirmation was refused",
    "event.password_changed": "Password changed",
    "event.account_disabled": "Account disabled by an operator",
    "event.account_enabled": "Account enabled by an operator",
    "event.account_deleted": "An account was deleted",
    "event.password_locked": "The password was locked after too many failed tries",
    "event.attempts_forgotten": "Failed tries forgotten by an operator",
    "event.everybody_revoked": "Everybody was logged out by an operator",
    "event.cross_site_refused": "A request from another site was refused",
    "event.duplicate_cookie": "A request with two session cookies was refused",
    # what has just been done
    "notice.signed_up": "Your account is open. Log in to get your ticket.",
    "notice.logged_out": "You have logged out.",
    "notice.session_revoked": "That device is logged out.",
    "notice.others_revoked": "All other devices are logged out.",
    "notice.password_changed": "Your password is changed, and all other devices are logged out.",
    "notice.reauthenticated": "Thank you. You can go on now.",
}


def text(key: str, **values: object) -> str:
    """Give the text of a key with its values filled in. A missing key or value is a mistake of ours: KeyError."""
    return CATALOGUE[key].format(**values)


def for_reason(reason: str) -> str:
    """Give the sentence for a reason code; one without a sentence of its own gets a general one."""
    return CATALOGUE.get(f"reason.{reason}", CATALOGUE["reason.refused"])


def for_refusal(reason: str, retry_after: int | None) -> str:
    """Give the sentence for a reason code and, where waiting helps, how long to wait."""
    wait = "" if retry_after is None else " " + text("page.retry_after", duration=duration(retry_after))
    return for_reason(reason) + wait


def for_field(field: str, reason: str) -> str:
    """Give the sentence for a field at fault: its own (`reason.password_missing`), else the reason's."""
    own = CATALOGUE.get(f"reason.{field}_{reason}")
    return for_reason(reason) if own is None else own


def for_event(name: str) -> str:
    """Give the line for a security event, likewise."""
    return CATALOGUE.get(f"event.{name}", CATALOGUE["event.event"])


def for_status(status: int) -> str:
    """Give the heading for a status, likewise: of its class, if it has none of its own."""
    return CATALOGUE.get(f"problem.{status}", CATALOGUE["problem.400" if status < 500 else "problem.500"])


def for_notice(name: str) -> str | None:
    """Give what has just been done in words; None for a name that is not ours, for names travel in addresses."""
    return CATALOGUE.get(f"notice.{name}")


ENDINGS = frozenset(
    {
        "unknown_session",
        "idle_timeout",
        "absolute_timeout",
        "revoked",
        "replaced",
        "too_many_sessions",
        "everybody_revoked",
        "password_changed",
        "account_disabled",
    }
)


def for_ending(reason: str) -> str | None:
    """Say why a session ended; None for a reason that is not one of those."""
    return for_reason(reason) if reason in ENDINGS else None


def for_method(method: str) -> str:
    """Give the words for an `amr` value; one without words of its own stands for itself."""
    return CATALOGUE.get(f"method.{method}", method)


def duration(seconds: int) -> str:
    """Say a time to wait in words, rounded up: whoever waits that long has waited long enough."""
    if seconds < 120:
        return _counted("second", max(seconds, 1))
    if seconds < 7200:
        return _counted("minute", -(-seconds // 60))
    return _counted("hour", -(-seconds // 3600))


def _counted(unit: str, count: int) -> str:
    return text(f"duration.{unit}") if count == 1 else text(f"duration.{unit}s", count=count)
