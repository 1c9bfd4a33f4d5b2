"""`coatcheck sessions`: list, show, revoke, purge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from coatcheck.cli.options import TAKES_IDS, json_option, open_desk, store_options
from coatcheck.cli.output import is_terminal, print_fields, print_json, print_table, short_time
from coatcheck.errors import NotFound, Refused

if TYPE_CHECKING:
    from coatcheck.core.views import Session
    from coatcheck.facade import Coatcheck
    from coatcheck.stores.protocols import Purged

PAGE = 500


@click.group()
def sessions() -> None:
    """See sessions, end them, delete dead ones."""


@sessions.command("list")
@click.option("--of", "owner", metavar="NAME", help="Only those of an account (user name, address) or subject.")
@click.option("--live/--all", "live", default=True, help="Only live ones, or ended ones too. Default: --live")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most.")
@store_options
@json_option
def list_sessions(
    owner: str | None, live: bool, limit: int, store: str | None, file: str | None, as_json: bool
) -> None:
    """List sessions."""
    with open_desk(store, file) as desk:
        names: dict[str, str | None] = {}
        subject = None if owner is None else require_subject(desk, owner)
        found: list[dict[str, object]] = []
        has_more = False
        for session, death in _matching(desk, subject, live=live):
            if len(found) == limit:
                has_more = True
                break
            found.append(described(session, death) | {"username": _username(desk, session.subject, names)})
    if as_json:
        print_json({"sessions": found, "has_more": has_more})
        return
    rows = [
        (one["id"], one["username"] or one["subject"], one["device"], one["ip"], short_time(one["last_seen_at"]))
        + (() if live else (one["ended"],))
        for one in found
    ]
    columns = ("id", "who", "device", "ip", "last seen (UTC)") + (() if live else ("ended",))
    print_table(columns, rows, empty="There are no such sessions.")
    if has_more:
        click.echo(f"There are more: --limit {limit * 10}")


@sessions.command(context_settings=TAKES_IDS)
@click.argument("session_id", metavar="ID")
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
@click.argument("session_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="End all sessions of --of.")
@click.option("--of", "owner", metavar="NAME", help="Whose: user name, e-mail address or subject.")
@click.option("--note", metavar="TEXT", default="", help="Why; kept with the event.")
@store_options
@json_option
def revoke(
    session_id: str | None,
    everything: bool,
    owner: str | None,
    note: str,
    store: str | None,
    file: str | None,
    as_json: bool,
) -> None:
    """End the session with the public id ID, or all sessions of somebody.

    It is over at once: the next request that shows its token is refused.
    """
    if (session_id is None) == (not everything) or everything != (owner is not None):
        raise click.UsageError("give an ID, or --all together with --of NAME")
    with open_desk(store, file) as desk:
        if session_id is not None:
            session, death = _require_session(desk, session_id)
            if death is not None:
                raise NotFound("session_ended")
            if session.subject is None:
                raise Refused("session_anonymous")
            desk.revoke(session.id, of=session.subject, note=note)
            revoked = 1
        else:
            revoked = desk.revoke_all(of=require_subject(desk, owner or ""), note=note)
    if as_json:
        print_json({"revoked": revoked})
    else:
        click.echo(f"Ended {revoked} {'session' if revoked == 1 else 'sessions'}.")


@sessions.command()
@store_options
@json_option
def purge(store: str | None, file: str | None, as_json: bool) -> None:
    """Delete what has been dead for long enough; the server does it once an hour.

    Others wait for a small batch at most.
    """
    with open_desk(store, file) as desk:
        gone = _purge_drawn(desk) if is_terminal() and not as_json else desk.purge()
    if as_json:
        print_json({"sessions": gone.sessions, "counters": gone.counters, "events": gone.events})
    else:
        click.echo(f"Deleted {gone.sessions} sessions, {gone.counters} counters, {gone.events} events.")


def require_subject(desk: Coatcheck, name: str) -> str:
    """Find the subject that a name stands for; one without an account counts if it has live sessions."""
    account = desk.find_account(name)
    if account is not None:
        return account.subject
    if desk.sessions(of=name):
        return name
    raise NotFound("account_not_found")


def described(session: Session, death: str | None) -> dict[str, object]:
    """Give a session as the JSON of all commands has it; `ended` is the reason, or None while it lives."""
    import msgspec

    from coatcheck.web.answers import session_answer

    answer = msgspec.structs.asdict(session_answer(session, current=None))
    del answer["current"]
    return {"id": answer.pop("id"), "subject": session.subject, **answer, "ended": death}


def _matching(desk: Coatcheck, subject: str | None, *, live: bool) -> Iterator[tuple[Session, str | None]]:
    if subject is not None and live:
        yield from ((session, None) for session in desk.sessions(of=subject))
        return
    after: str | None = None
    while True:
        page, after = desk.all_sessions(after=after, limit=PAGE)
        for session, death in page:
            if (subject is None or session.subject == subject) and (death is None or not live):
                yield session, death
        if after is None:
            return


def _username(desk: Coatcheck, subject: str | None, known: dict[str, str | None]) -> str | None:
    if subject is None:
        return None
    if subject not in known:
        account = desk.account(subject)
        known[subject] = None if account is None else account.username or account.email
    return known[subject]


def _require_session(desk: Coatcheck, session_id: str) -> tuple[Session, str | None]:
    found = desk.session(session_id)
    if found is None:
        raise NotFound("session_not_found")
    return found


def _purge_drawn(desk: Coatcheck) -> Purged:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Purging"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        # How much is left is not known before it is looked at, so the bar only says that work goes on.
        task = progress.add_task("purge", total=None, told="")

        def tell(gone: Purged) -> None:
            progress.update(task, told=f"{gone.sessions} sessions, {gone.counters} counters, {gone.events} events")

        return desk.purge(progress=tell)
