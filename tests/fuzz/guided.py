"""libFuzzer on one target: it sees which branches of our code an input takes and keeps what takes new ones.

    python -m tests.fuzz.guided NAME [LIBFUZZER OPTIONS]

The pieces of the target's grammar are its dictionary and its first inputs. It ends with status 0 where nothing was
found; an input that breaks a promise is printed and kept in the working folder as `crash-...`. Each input that took
longer than all before it is told on a line of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["coatcheck"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, options: list[str]) -> None:
    target = TARGETS[name]
    target.figures.announce = lambda figures: print(f"slowest: {figures}", file=sys.stderr, flush=True)
    with TemporaryDirectory() as folder:
        dictionary, inputs = Path(folder, "dictionary"), Path(folder, "inputs")
        dictionary.write_text("".join(f'"{_escaped(piece)}"\n' for piece in target.pieces if len(piece) <= 64))
        inputs.mkdir()
        for number, piece in enumerate((*target.wholes, *target.pieces)):
            (inputs / str(number)).write_bytes(piece)
        longest = f"-max_len={target.longest + 64}"
        atheris.Setup([sys.argv[0], longest, f"-dict={dictionary}", *options, str(inputs)], target.check)
        atheris.Fuzz()  # leaves the process


def _escaped(piece: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in piece)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
