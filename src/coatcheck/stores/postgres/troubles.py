"""PostgreSQL's errors in our words: whose trouble it is, and how to mend it. No password is ever in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from psycopg import DataError, Error, IntegrityError, OperationalError, errors

from coatcheck.errors import ConfigurationError, CorruptRecord, StoreConflict, StoreError, StoreUnavailable

# What the server says when it lets nobody in (by words, for connecting gives no code), and the mend.
_CERTIFICATE = "name the authority that signed the server's certificate: sslrootcert=/path/to/ca.pem"
_PASSWORD = (
    "correct user name and password: in the URL, in the file that store_password_file (or sessions_password_file) "
    "names, in PGPASSWORD or in ~/.pgpass"
)
_NO_PASSWORD = (
    "put the password into it, into a file that store_password_file (or sessions_password_file) names, into PGPASSWORD "
    "or into ~/.pgpass"
)
READ_ONLY = "is read-only: a replica, or default_transaction_read_only is on; name the primary, or promote the replica"
_READ_ONLY = re.compile("session is read-only|server is in hot standby mode")  # of one of several hosts
_REFUSALS = tuple(
    (re.compile(sign), mend)
    for sign, mend in (
        ("password authentication failed|auth failed", _PASSWORD),
        ("no password supplied", _NO_PASSWORD),
        ("no such user", "the user name in it is wrong, or PgBouncer does not know it"),
        ("no such database", "the database in it is wrong, or PgBouncer does not know it"),
        ('role ".*" does not exist', "create the user (createuser), or correct the name in it"),
        ('database ".*" does not exist', "create the database (createdb), or correct the name in it"),
        ("permission denied for database", "let its user connect: GRANT CONNECT ON DATABASE"),
        ("pg_hba.conf", "let this user in from this machine in PostgreSQL's pg_hba.conf"),
        ("certificate verify failed", _CERTIFICATE),
        ("root certificate", _CERTIFICATE),
        ("does not match host name", "use the name that the server's certificate bears"),
        (
            "does not support SSL",
            "switch TLS on in PostgreSQL (ssl = on), or write sslmode=disable if that is safe here",
        ),
        ("certificate file", "correct the name of that file in it"),
    )
)
_MENDS = {
    "25006": f"it {READ_ONLY}",
    "42501": "give its user the rights on Coatcheck's schema (docs/postgres.md)",
    "42P01": "tables are missing; was the schema dropped? restore it",
    "42703": "columns are missing; was the schema changed by hand? restore it",
    "53100": "the disk is full; make room",
    "53300": "it has no connections left: raise max_connections, or lower connections=... in the URL",
    "57P03": "it is starting up or shutting down",
}

# What is weaker than it should be where one of `statements.PROMISES` does not hold.
ADVISORIES = (
    "has fsync off: a loss of power can destroy everything; set fsync = on",
    "has full_page_writes off: a loss of power can destroy everything; set full_page_writes = on",
    "has synchronous_commit off: a loss of power takes the last moments of what was acknowledged; set it to on",
    "is another machine, and sslmode=disable leaves the way to it open; leave sslmode out for verify-full",
)


class NotLetIn(OperationalError):
    """No host let us in; `each` is what was heard of them, in the order in which they were asked."""

    def __init__(self, each: Sequence[str]) -> None:
        self.each = tuple(each)
        super().__init__("; ".join(self.each) or "no host to connect to")


def refused(error: Error, location: str) -> ConfigurationError | None:
    """Say what is wrong with the setting if the server let us not in because of it; None if it may be an outage.

    Of several hosts the first that gave such a reason counts, whatever the others said: it is there, and answers.
    """
    for said in error.each if isinstance(error, NotLetIn) else (words(error),):
        if _READ_ONLY.search(said):
            return read_only(location, f" ({words(error)})")
        for sign, mend in _REFUSALS:
            if sign.search(said):
                return ConfigurationError(f"store: {location} lets nobody in by this URL; {mend} ({words(error)})")
    return None


def read_only(location: str, said: str = "") -> ConfigurationError:
    """Say that nothing can be kept there."""
    return ConfigurationError(f"store: {location} {READ_ONLY}{said}")


def unreachable(error: Error, location: str) -> StoreUnavailable:
    """Say that no connection could be made."""
    return StoreUnavailable(
        f"the store {location} cannot be reached ({words(error)}); is it running, and is the setting store right?"
    )


def translated(error: Error, location: str) -> StoreError:
    """Say in our words what PostgreSQL said. Programming errors are ours and stay as they are."""
    state = error.sqlstate or ""
    if isinstance(error, errors.NotNullViolation):
        return CorruptRecord("everybody")  # the one value of another row that is written without a look at it
    if isinstance(error, IntegrityError):
        return StoreConflict(f"a constraint of the store refused the change: {error.diag.constraint_name}")
    if state in _MENDS:
        return StoreUnavailable(f"the store {location} cannot do this now: {_MENDS[state]}")
    if isinstance(error, DataError | errors.SyntaxError) or not isinstance(
        error, OperationalError | errors.InternalError
    ):
        _raise(error)
    return StoreUnavailable(f"the store {location} cannot do this now: {words(error)}")


def _raise(error: Error) -> NoReturn:
    raise error


def words(error: Error) -> str:
    """Give what the server, or psycopg, said of it: the main sentence."""
    # Not its details, which may show what somebody typed. Of a wait that ended psycopg says what it calls it itself.
    said = error.diag.message_primary or str(error).replace("wait timeout expired", "no answer in time")
    return " ".join(said.split())
