"""Statements out, rows in, over libpq itself: what a connection says and hears, whatever waits for it.

psycopg's cursors would do it too, with several objects for each statement and a packet for each one of a batch. Here a
batch leaves in one packet. What is written here runs in either colour: generators ask to be called again when the
socket is ready, and `driver` knows who waits. Values become parameters, and columns values, by psycopg's adapters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from psycopg import Error, OperationalError, errors, generators
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.types.numeric import Int8Dumper

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

    from coatcheck.stores.rows import Row

Parameters: TypeAlias = Sequence[object] | Mapping[str, object]
Statement: TypeAlias = tuple[str, Parameters]

_MARK = re.compile(r"%(?:s|\((\w+)\)s)")


@lru_cache(maxsize=256)
def numbered(sql: str) -> tuple[bytes, tuple[str, ...] | None]:
    """Give a statement with `$1` and so on in place of its marks, and the names of these; None if they have none."""
    names: list[str] = []
    count = 0

    def number(mark: re.Match[str]) -> str:
        nonlocal count
        if mark[1] is None:
            count += 1
            return f"${count}"
        if mark[1] not in names:
            names.append(mark[1])
        return f"${names.index(mark[1]) + 1}"

    text = _MARK.sub(number, sql).encode()
    return text, None if count else tuple(names)


class _Said(NamedTuple):
    """A statement as it goes out. Without a name it is parsed and planned anew."""

    query: bytes
    name: bytes
    is_new: bool  # the server does not know the name yet
    values: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[Format]


class Exchange:
    """One connection, used by one caller at a time."""

    def __init__(self, connection: Connection[Any] | AsyncConnection[Any]) -> None:
        connection.adapters.register_dumper(int, Int8Dumper)  # one type, and so one plan, whatever the number
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._count = 0
        self.names = False  # statements are kept by name at the server

    def one(self, sql: str, parameters: Parameters) -> PQGen[list[Row]]:
        """Run a statement and give its rows."""
        said = self._said(sql, parameters)
        if said.is_new:
            self._pgconn.send_prepare(said.name, said.query, said.types)
            self._rows_of((yield from generators.execute(self._pgconn)))
            self._names[said.query, said.types] = said.name
        self._send(said)
        return self._rows_of((yield from generators.execute(self._pgconn)))

    def several(self, statements: Sequence[Statement]) -> PQGen[list[list[Row]]]:
        """Run statements in one round trip and give the rows of each; the first error ends it and is raised."""
        # All before the first is sent: a parameter that cannot be written stops nothing half way.
        whole = [self._said(sql, parameters) for sql, parameters in statements]
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        for said in whole:
            if said.is_new:
                pgconn.send_prepare(said.name, said.query, said.types)
            self._send(said)
        pgconn.pipeline_sync()
        yield from generators.send(pgconn)
        heard: list[list[Row]] = []
        try:
            for said in whole:
                if said.is_new:
                    self._rows_of((yield from generators.fetch_many(pgconn)))
                    self._names[said.query, said.types] = said.name
                heard.append(self._rows_of((yield from generators.fetch_many(pgconn))))
        except Error:
            # What comes after an error is told one by one that it was not done.
            while pgconn.status == ConnStatus.OK and not _is_end((yield from generators.fetch_many(pgconn))):
                pass
            raise
        else:
            yield from generators.fetch_many(pgconn)  # the end
        finally:
            if pgconn.status == ConnStatus.OK:
                pgconn.exit_pipeline_mode()
        return heard

    def _said(self, sql: str, parameters: Parameters) -> _Said:
        query, names = numbered(sql)
        values = [parameters[name] for name in names or ()] if isinstance(parameters, Mapping) else parameters
        transformer = self._transformer
        written = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types = tuple(transformer.types or ())
        formats = transformer.formats or ()
        if not self.names:
            return _Said(query, b"", False, written, types, formats)
        name = self._names.get((query, types))
        if name is not None:
            return _Said(query, name, False, written, types, formats)
        self._count += 1
        return _Said(query, b"coatcheck_%d" % self._count, True, written, types, formats)

    def _send(self, said: _Said) -> None:
        if said.name:
            self._pgconn.send_query_prepared(said.name, said.values, said.formats, Format.BINARY)
        else:
            self._pgconn.send_query_params(said.query, said.values, said.types, said.formats, Format.BINARY)

    def _rows_of(self, results: Sequence[PGresult]) -> list[Row]:
        if not results:
            raise OperationalError("the connection is lost")
        result = results[0]
        match result.status:
            case ExecStatus.TUPLES_OK:
                self._transformer.set_pgresult(result)
                return self._transformer.load_rows(0, result.ntuples, tuple)
            case ExecStatus.COMMAND_OK:
                return []
            case _:
                raise errors.error_from_result(result)


def _is_end(results: Sequence[PGresult]) -> bool:
    return not results or results[0].status == ExecStatus.PIPELINE_SYNC
