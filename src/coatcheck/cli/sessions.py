"""`coatcheck sessions`: list, show, revoke, purge."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from coatcheck.cli.completion import account_names, session_ids
from coatcheck.cli.options import (
    TAKES_IDS,
    confirm,
    json_option,
    open_desk,
    page_options,
    quiet_option,
    store_options,
    yes_option,
)
from coatcheck.cli.output import counted, print_fields, print_json, short_time
from coatcheck.cli.paging import Described, Fetch, Listing, print_list
from coatcheck.cli.refusals import NothingFound
from coatcheck.cli.types import Network, instant, is_within, network
from coatcheck.errors import NotFound, Refused

if TYPE_CHECKING:
    from coatcheck.core.views import Session
    from coatcheck.facade import Coatcheck
    from coatcheck.stores.protocols import Purged

    Seen = tuple[Session, str | None]
    """A session, with why it ended if it did."""


COLUMNS = ("id", "who", "device", "ip", "last seen (UTC)")
EMPTY = {
    "live": "There are no live sessions.",
    "ended": "No ended session is remembered.",
    "any": "There are no sessions.",
}


@click.group()
def sessions() -> None:
    """See sessions, end them, delete dead ones."""


@sessions.command("list")
@click.option("--of", "owner", metavar="NAME", shell_complete=account_names, help="Those of an account or subject.")
@click.option(
    "--state",
    type=click.Choice(list(EMPTY)),
    default="live",
    show_default=True,
    help="Live ones, or ended ones that are still remembered.",
)
@click.option("--since", type=instant, metavar="TIME", help="Used at TIME or later: 2026-11-21T08:30Z, 2h (ago).")
@click.option("--until", type=instant, metavar="TIME", help="Begun before TIME.")
@click.option("--ip", "place", type=network, metavar="NET", help="Begun from an address or network: 192.0.2.0/24.")
@click.option("--user-agent", "agent", metavar="TEXT", help="TEXT stands in the user agent or the device's name.")
@page_options
@store_options
@json_option
def list_sessions(
    owner: str | None,
    state: str,
    since: int | None,
    until: int | None,
    place: Network | None,
    agent: str | None,
    limit: int,
    cursor: str | None,
    is_whole: bool,
    store: str | None,
    file: str | None,
    as_json: bool,
) -> None:
    """List sessions; with several options, those that fit all of them."""
    wanted = _Wanted(state, since, until, place, None if agent is None else agent.casefold())
    is_narrowed = owner is not None or any(value is not None for value in wanted[1:])
    with open_desk(store, file) as desk:
        names: dict[str, str | None] = {}

        def describe(seen: Seen) -> Described:
            return described(*seen) | {"username": _username(desk, seen[0].subject, names)}

        listing = Listing(
            name="sessions",
            describe=describe,
            columns=COLUMNS if state == "live" else (*COLUMNS, "ended"),
            row=_row if state == "live" else _row_with_end,
            empty="No sessions match." if is_narrowed else EMPTY[state],
        )
        fetch = _fetch(desk, owner, state)
        print_list(listing, fetch, wanted.fits, limit=limit, cursor=cursor, is_whole=is_whole, as_json=as_json)


@sessions.command(context_settings=TAKES_IDS)
@click.argument("session_id", metavar="ID", shell_complete=session_ids)
@store_options
@json_option
def show(session_id: str, store: str | None, file: str | None, as_json: bool) -> None:
    """Show the session with the public id ID, live or ended."""
    with open_desk(store, file) as desk:
        session, death = _require_session(desk, session_id)
        found = described(session, death) | {"username": _username(desk, session.subject, {})}
    if as_json:
        print_json(found)
    else:
        print_fields(list(found.items()))


@sessions.command(context_settings=TAKES_IDS)
@click.argument("session_id", metavar="[ID]", required=False, shell_complete=session_ids)
@click.option("--all", "everything", is_flag=True, help="End all sessions of --of.")
@click.option("--of", "owner", metavar="NAME", shell_complete=account_names, help="Whose: name, address or subject.")
@click.option("--everybody", is_flag=True, help="End every session there is, anonymous ones too.")
@click.option("--note", metavar="TEXT", default="", help="Why; kept with the event.")
@yes_option
@store_options
@json_option
def revoke(
    session_id: str | None,
    everything: bool,
    owner: str | None,
    everybody: bool,
    note: str,
    yes: bool,
    store: str | None,
    file: str | None,
    as_json: bool,
) -> None:
    """End the session with the public id ID, all sessions of somebody, or everybody's.

    It is over at once: the next request that shows its token is refused. With ID and --of, it is ended only if it is
    that account's.
    """
    if [session_id is not None, everything, everybody].count(True) != 1 or (
        owner is None if everything else everybody and owner is not None
    ):
        raise click.UsageError("give an ID, or --all together with --of NAME, or --everybody")
    if everybody:
        confirm("End everybody's sessions? All of them have to log in again.", yes=yes)
        with open_desk(store, file) as desk:
            desk.revoke_everybody(note=note)
        if as_json:
            print_json({"revoked": "everybody"})
        else:
            click.echo("Ended everybody's sessions.")
        return
    with open_desk(store, file) as desk:
        subject = None if owner is None else require_subject(desk, owner)
        if session_id is None:
            revoked = desk.revoke_all(of=subject or "", note=note)
        else:
            _revoke_one(desk, session_id, owner, subject, note)
            revoked = 1
    if as_json:
        print_json({"revoked": revoked})
    else:
        click.echo(f"Ended {counted(revoked, 'session')}.")


@sessions.command()
@quiet_option
@store_options
@json_option
def purge(quiet: bool, store: str | None, file: str | None, as_json: bool) -> None:
    """Delete what has been dead for long enough; the server does it once an hour.

    Others wait for a small batch at most.
    """
    from coatcheck.cli.progress import progress

    with open_desk(store, file) as desk, progress("purging", quiet=quiet or as_json) as tell:
        gone = desk.purge(progress=lambda so_far: tell(_deleted(so_far)))
    if as_json:
        print_json({"sessions": gone.sessions, "counters": gone.counters, "events": gone.events})
    else:
        click.echo(f"Deleted {_deleted(gone)}.")


def require_subject(desk: Coatcheck, name: str) -> str:
    """Find the subject that a name stands for; one without an account counts if it has live sessions."""
    account = desk.find_account(name)
    if account is not None:
        return account.subject
    if desk.sessions(of=name):
        return name
    raise NothingFound(
        "account_not_found",
        f"no account has the user name, e-mail address or subject {name!r}, and no live session that subject; "
        "coatcheck accounts list shows those there are",
    )


def described(session: Session, death: str | None) -> Described:
    """Give a session as the JSON of all commands has it; `ended` is the reason, or None while it lives."""
    import msgspec

    from coatcheck.web.answers import session_answer

    answer = msgspec.structs.asdict(session_answer(session, current=None))
    del answer["current"]
    return {"id": answer.pop("id"), "subject": session.subject, **answer, "ended": death}


class _Wanted(NamedTuple):
    """Which sessions are asked for; None where it does not matter."""

    state: str
    since: int | None
    until: int | None
    place: Network | None
    agent: str | None

    def fits(self, seen: Seen) -> bool:
        session, death = seen
        return (
            (self.state == "any" or (death is None) == (self.state == "live"))
            and (self.since is None or session.record.last_seen_at >= self.since)
            and (self.until is None or session.record.created_at < self.until)
            and (self.place is None or is_within(session.ip, self.place))
            and (self.agent is None or self._names(session))
        )

    def _names(self, session: Session) -> bool:
        from coatcheck.web.devices import device_name

        agent = session.user_agent or ""
        return self.agent is not None and self.agent in f"{agent}\n{device_name(agent)}".casefold()


def _row(one: Described) -> tuple[object, ...]:
    return one["id"], one["username"] or one["subject"], one["device"], one["ip"], short_time(one["last_seen_at"])


def _row_with_end(one: Described) -> tuple[object, ...]:
    return *_row(one), one["ended"]


def _fetch(desk: Coatcheck, owner: str | None, state: str) -> Fetch[Seen]:
    subject = None if owner is None else require_subject(desk, owner)
    if subject is None:
        return lambda after, limit: desk.all_sessions(after=after, limit=limit)
    if state == "live":
        return lambda after, limit: _device_list(desk, subject, after, limit)

    def fetch(after: str | None, limit: int) -> tuple[list[Seen], str | None]:
        page, following = desk.all_sessions(after=after, limit=limit)
        return [seen for seen in page if seen[0].subject == subject], following

    return fetch


def _device_list(desk: Coatcheck, subject: str, after: str | None, limit: int) -> tuple[list[Seen], str | None]:
    """Read a page of the live sessions of a subject, which the store finds without looking at anybody else's."""
    every = desk.sessions(of=subject)
    begin = 0
    if after is not None:
        begin = next((place for place, session in enumerate(every, start=1) if session.id == after), 0)
        if not begin:
            raise click.UsageError("--cursor: that session has ended meanwhile; list again without it")
    page: list[Seen] = [(session, None) for session in every[begin : begin + limit]]
    return page, page[-1][0].id if begin + limit < len(every) else None


def _username(desk: Coatcheck, subject: str | None, known: dict[str, str | None]) -> str | None:
    if subject is None:
        return None
    if subject not in known:
        account = desk.account(subject)
        known[subject] = None if account is None else account.username or account.email
    return known[subject]


def _require_session(desk: Coatcheck, session_id: str) -> Seen:
    found = desk.session(session_id)
    if found is None:
        raise NothingFound(
            "session_not_found",
            f"no session has the id {session_id!r}; coatcheck sessions list --state any shows those there are, and "
            "ended ones are known for a day",
        )
    return found


def _revoke_one(desk: Coatcheck, session_id: str, owner: str | None, subject: str | None, note: str) -> None:
    session, death = _require_session(desk, session_id)
    if subject is not None and session.subject != subject:
        raise NothingFound(
            "session_not_found",
            f"{owner} has no session {session_id!r}; coatcheck sessions list --of {owner} shows those there are",
        )
    if death is not None:
        raise NotFound("session_ended")
    if session.subject is None:
        raise Refused("session_anonymous")
    desk.revoke(session.id, of=session.subject, note=note)


def _deleted(gone: Purged) -> str:
    return f"{counted(gone.sessions, 'session')}, {counted(gone.counters, 'counter')}, {counted(gone.events, 'event')}"
