"""What a file name tells of the language in it."""

from __future__ import annotations


def language_of(file: str) -> str | None:
    """The two-letter code that a file name ends in: `train.de`, `train.de.gz`; none if it ends otherwise."""
    ending = file.removesuffix(".gz").rpartition(".")[2]
    return ending if len(ending) == 2 and ending.isascii() and ending.isalpha() and ending.islower() else None
