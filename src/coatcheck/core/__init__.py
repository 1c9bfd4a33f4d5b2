"""What Coatcheck decides.

Pure: no I/O, no clock, no randomness, no globals that change. `now` (integer seconds UTC), policy and fresh bytes come
in as arguments, an outcome goes out; the same input always gives the same answer. A visitor's mistake is an outcome
with a reason, never an exception raised here. Imports: msgspec, the standard library's pure parts, `coatcheck.errors`.
"""
