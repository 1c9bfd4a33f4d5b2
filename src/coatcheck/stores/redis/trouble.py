"""What a driver or server complains of, in our words."""

from __future__ import annotations

import re
import ssl

from redis import exceptions

from coatcheck.errors import CoatcheckError, ConfigurationError, CorruptRecord, StoreError, StoreUnavailable
from coatcheck.stores.redis.address import Address

# Scripts say `CORRUPT kind`; older servers put words of their own around it.
_CORRUPT = re.compile(r"CORRUPT ([a-z-]+)")
# Conditions that end by themselves or by an operator's hand, wherever in a sentence the server puts the word.
_PASSING = re.compile(
    r"\b(OOM|READONLY|LOADING|BUSY|MASTERDOWN|MISCONF|NOREPLICAS|TRYAGAIN|CLUSTERDOWN|UNKILLABLE|UNBLOCKED)\b"
)


def translated(error: Exception, address: Address) -> CoatcheckError:
    """Give the error of ours that stands for one of the driver's."""
    if isinstance(error, exceptions.AuthenticationError):
        return ConfigurationError(
            f"store: {address.where} refuses this user name and password, or their lack; correct them in the URL, "
            "or the password in the file that store_password_file (or sessions_password_file) names"
        )
    if isinstance(error, exceptions.InvalidResponse):
        return ConfigurationError(
            f"store: what answers at {address.where} is neither Redis nor Valkey; correct the URL"
        )
    if _is_distrust(error):
        return ConfigurationError(
            f"store: the certificate of {address.where} is not to be trusted; name the file that certifies it with "
            "?ca=, or the host as its certificate does"
        )
    if isinstance(error, exceptions.NoPermissionError):
        return ConfigurationError(
            f"store: this user of {address.where} may not do what is needed; grant it what docs/redis.md lists"
        )
    if isinstance(error, (exceptions.MovedError, exceptions.AskError, exceptions.ClusterCrossSlotError)):
        return ConfigurationError(f"store: {address.where} belongs to a cluster; name a server that stands alone")
    words = str(error)
    corrupt = _CORRUPT.search(words)
    if corrupt:
        return CorruptRecord(corrupt[1])
    if "WRONGTYPE" in words:
        return CorruptRecord("a key of another type")
    if isinstance(error, exceptions.ResponseError) and not _is_passing(error, words):
        return StoreError(f"the store at {address.where} did not understand: {words}")
    mend = ""
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError)):
        mend = "; is it running, is it Redis or Valkey, and is the URL right?"
        if address.tls:
            mend = "; is it running, does it speak TLS at this port (write redis:// if not), and is the URL right?"
    return StoreUnavailable(f"the store at {address.where} cannot do this now: {words or type(error).__name__}{mend}")


def is_demoted(error: Exception) -> bool:
    """Say whether the server is another one than the connection was opened to: what it says is no longer the truth."""
    return isinstance(error, exceptions.ReadOnlyError) or "READONLY" in str(error)


def _is_passing(error: Exception, words: str) -> bool:
    kinds = (
        exceptions.OutOfMemoryError,
        exceptions.ReadOnlyError,
        exceptions.ClusterDownError,
        exceptions.MasterDownError,
        exceptions.TryAgainError,
    )
    return isinstance(error, kinds) or _PASSING.search(words) is not None


def _is_distrust(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 5:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
