"""The rows: each module asks one question.

Its interface: `KEY`, `SECONDS` (about what it takes on two idle cores) and `measure`.
"""
