"""An application's own table of users as Coatcheck's store of accounts, over SQLAlchemy.

`Users` keeps what `coatcheck.stores.protocols.OwnAccounts` promises: a desk over it speaks of `User`. Sessions live
elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coatcheck.core.identifiers import email_key, username_key
from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential
from coatcheck.errors import StoreConflict, StoreUnavailable
from coatcheck.stores.protocols import AccountPage, Answer, Cutoffs, EventPage, Identified, Purged


class Base(DeclarativeBase):
    pass


class User(Base):
    """Somebody, as the application has always had them; below the line what Coatcheck needs besides."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(sa.String(150))
    email: Mapped[str | None] = mapped_column(sa.String(254))
    password: Mapped[str | None] = mapped_column(sa.String(255))
    joined: Mapped[datetime] = mapped_column(sa.DateTime)
    favourite_coat: Mapped[str | None] = mapped_column(sa.String(50))
    is_active: Mapped[bool] = mapped_column(server_default=sa.true())
    # ----
    subject: Mapped[str | None] = mapped_column(sa.String(255), unique=True)  # what sessions know; never changes
    name_key: Mapped[str | None] = mapped_column(sa.String(150), unique=True)  # what names are compared by
    email_key: Mapped[str | None] = mapped_column(sa.String(254), unique=True)
    password_version: Mapped[int] = mapped_column(server_default="1")
    password_changed: Mapped[int] = mapped_column(server_default="0")


users = cast(sa.Table, User.__table__)
metadata = Base.metadata

events_table = sa.Table(
    "security_events",
    metadata,
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("subject", sa.String(255), index=True),
    sa.Column("session_id", sa.String(64)),
    sa.Column("ip", sa.String(64)),
    sa.Column("user_agent", sa.String(256)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("details", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)

T = TypeVar("T")


def upgrade(engine: sa.Engine) -> None:
    """Give the application's table what Coatcheck needs besides, and everybody in it a subject. Twice is once."""
    with engine.begin() as connection:
        there = {column["name"] for column in sa.inspect(connection).get_columns("users")}
        for column in users.columns:
            if column.name not in there:
                kind = column.type.compile(engine.dialect)
                default = (
                    f" NOT NULL DEFAULT {column.server_default.arg}"
                    if isinstance(column.server_default, sa.DefaultClause)
                    else ""
                )
                connection.execute(sa.text(f"ALTER TABLE users ADD COLUMN {column.name} {kind}{default}"))
                if column.unique:
                    name = f"users_{column.name}"
                    connection.execute(sa.text(f"CREATE UNIQUE INDEX {name} ON users ({column.name})"))
        for row in connection.execute(sa.select(users).where(users.c.subject.is_(None))).mappings().all():
            added = {
                "subject": f"user-{row['id']}",
                "name_key": username_key(row["name"]) if row["name"] else None,
                "email_key": email_key(row["email"]) if row["email"] else None,
            }
            connection.execute(sa.update(users).where(users.c.id == row["id"]).values(added))
        metadata.create_all(connection, tables=[events_table])


def inactive(engine: sa.Engine) -> list[str]:
    """Give the subjects of those whom the application lets in no more: the desk does not know that column."""
    with engine.connect() as connection:
        return [row.subject for row in connection.execute(sa.select(users.c.subject).where(~users.c.is_active))]


class Run(Protocol):
    """How work that waits for the database is done."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def here(work: Callable[[], T]) -> T:
    """Do it where it is asked for: for the blocking desk."""
    return work()


class Users:
    """The users of an engine. For `AsyncCoatcheck` say `Users(engine, run=asyncio.to_thread)`."""

    holds_accounts = True

    def __init__(self, engine: sa.Engine, *, run: Run = here) -> None:
        self._engine = engine
        self._run = run

    async def create_account(
        self, account: AccountRecord, credential: PasswordCredential, *, events: Sequence[EventRecord]
    ) -> Answer | None:
        def work() -> Answer | None:
            try:
                with self._begin() as connection:
                    connection.execute(sa.insert(users), _row(account) | _password(credential))
                    _keep(connection, events)
            except IntegrityError:
                return self._taken(account)
            return None

        return await self._run(work)

    async def identify(self, key: str) -> Identified | None:
        found = await self._one(sa.or_(users.c.name_key == key, users.c.email_key == key), asked=key)
        return None if found is None else Identified(_account(found), _credential(found))

    async def account(self, subject: str) -> AccountRecord | None:
        found = await self._one(users.c.subject == subject, asked=subject)
        return None if found is None else _account(found)

    async def own_accounts(self, subjects: Sequence[str]) -> Mapping[str, User]:
        def work() -> Mapping[str, User]:
            wanted = User.subject.in_([subject for subject in subjects if _is_text(subject)])
            with self._told(), Session(self._engine) as session:
                return {user.subject or "": user for user in session.scalars(sa.select(User).where(wanted))}

        return await self._run(work)

    async def credential(self, subject: str) -> PasswordCredential | None:
        found = await self._one(users.c.subject == subject, asked=subject)
        return None if found is None else _credential(found)

    async def replace_password(self, credential: PasswordCredential, *, was: int) -> bool:
        return await self._change(
            sa.update(users)
            .where(users.c.subject == credential.subject, users.c.password_version == was)
            .values(_password(credential))
        )

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        return await self._change(
            sa.update(users).where(users.c.subject == subject, users.c.password == was).values(password=new)
        )

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        query = sa.select(users).where(users.c.subject > (after or "")).order_by(users.c.subject).limit(limit + 1)
        rows = await self._all(query)
        accounts = tuple(_account(row) for row in rows[:limit])
        return AccountPage(accounts, accounts[-1].subject if len(rows) > limit else None)

    async def settle(
        self, settlements: Sequence[Any], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        def work() -> Answer | None:
            with self._begin() as connection:
                if account is not None:
                    has_password = sa.and_(users.c.subject == account, users.c.password.is_not(None))
                    if connection.execute(sa.select(users.c.id).where(has_password)).first() is None:
                        return Answer.GONE
                _keep(connection, events)
            return None

        return await self._run(work)

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        def work() -> bool:
            with self._begin() as connection:
                if (
                    not _is_text(subject)
                    or not connection.execute(sa.delete(users).where(users.c.subject == subject)).rowcount
                ):
                    return False
                # What happened stays with its time and name; whose it was does not.
                nobody: dict[str, Any] = dict.fromkeys(("subject", "session_id", "ip", "user_agent", "request_id")) | {
                    "details": {}
                }
                connection.execute(sa.update(events_table).where(events_table.c.subject == subject).values(nobody))
                _keep(connection, events)
            return True

        return await self._run(work)

    # Events

    async def record(self, events: Sequence[EventRecord]) -> None:
        def work() -> None:
            with self._begin() as connection:
                _keep(connection, events)

        await self._run(work)

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        query = sa.select(events_table).order_by(events_table.c.place.desc()).limit(limit + 1)
        if subject is not None:
            query = query.where(events_table.c.subject == subject)
        if after is not None:
            if not (after.isascii() and after.isdigit() and len(after) < 19):
                return EventPage((), None)
            query = query.where(events_table.c.place < int(after))
        rows = await self._all(query)
        shown = tuple(
            EventRecord(**{name: row[name] for name in EventRecord.__struct_fields__}) for row in rows[:limit]
        )
        return EventPage(shown, str(rows[limit - 1]["place"]) if len(rows) > limit else None)

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        old = sa.select(events_table.c.place).where(events_table.c.at < cutoffs.events_before).limit(limit)

        def work() -> int:
            with self._begin() as connection:
                return connection.execute(sa.delete(events_table).where(events_table.c.place.in_(old))).rowcount

        deleted = await self._run(work)
        return Purged(0, 0, deleted, "more" if deleted == limit else None)

    # The engine

    @property
    def location(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    async def ready(self) -> None:
        await self._all(sa.select(users.c.id).limit(1))

    async def advisories(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Generator[sa.Connection]:
        """One transaction."""
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Generator[None]:
        """What the engine says when it cannot becomes `StoreUnavailable`."""
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise StoreUnavailable(f"the users' database failed: {type(error).__name__}") from error

    async def _all(self, query: sa.Select[Any]) -> list[Any]:
        def work() -> list[Any]:
            with self._begin() as connection:
                return list(connection.execute(query).mappings())

        return await self._run(work)

    async def _one(self, condition: sa.ColumnElement[bool], *, asked: str) -> Any:
        if not _is_text(asked):
            return None  # nobody's name: no database would take it
        return next(iter(await self._all(sa.select(users).where(condition))), None)

    async def _change(self, statement: sa.Update) -> bool:
        def work() -> bool:
            with self._begin() as connection:
                return connection.execute(statement).rowcount == 1

        return await self._run(work)

    def _taken(self, account: AccountRecord) -> Answer:
        """Say what of a new account was taken. The constraints have decided: this only asks which it was."""
        with self._begin() as connection:
            for column, value, answer in (
                (users.c.name_key, account.username_key, Answer.USERNAME_TAKEN),
                (users.c.email_key, account.email_key, Answer.EMAIL_TAKEN),
            ):
                if value is not None and connection.execute(sa.select(users.c.id).where(column == value)).first():
                    return answer
        raise StoreConflict("another account has this subject")


def _row(account: AccountRecord) -> dict[str, Any]:
    return {
        "subject": account.subject,
        "name": account.username,
        "name_key": account.username_key,
        "email": account.email,
        "email_key": account.email_key,
        "joined": datetime.fromtimestamp(account.created_at, UTC).replace(tzinfo=None),
    }


def _password(credential: PasswordCredential) -> dict[str, Any]:
    return {
        "password": credential.hash,
        "password_version": credential.version,
        "password_changed": credential.changed_at,
    }


def _account(row: Any) -> AccountRecord:
    joined = int(row["joined"].replace(tzinfo=UTC).timestamp())
    return AccountRecord(row["subject"], row["name"], row["name_key"], row["email"], row["email_key"], joined)


def _credential(row: Any) -> PasswordCredential | None:
    if row["password"] is None:
        return None
    return PasswordCredential(row["subject"], row["password"], row["password_version"], row["password_changed"])


def _keep(connection: sa.Connection, events: Sequence[EventRecord]) -> None:
    for event in events:
        row = {name: getattr(event, name) for name in EventRecord.__struct_fields__}
        connection.execute(sa.insert(events_table), row)


def _is_text(asked: str) -> bool:
    try:
        asked.encode()
    except UnicodeEncodeError:
        return False
    return True
