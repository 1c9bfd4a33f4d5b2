"""The web as plain data.

Requests and replies as records, and the judgements about them: cookies, hosts, cross-site evidence, redirect targets,
client addresses, bodies, problems. Pure: no I/O, no clock, no randomness, no framework; every reader takes hostile
octets, is linear in their number, and answers with a value or a refusal from `coatcheck.errors`. Imports: msgspec, the
standard library's pure parts, `coatcheck.errors`, `coatcheck.core`.
"""
