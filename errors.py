"""What a user did wrong, or what cannot go on: one readable message each, and exit code 2."""

from __future__ import annotations

import sys

from display import say, short

MOST = 2_000  # columns of a line


class UserError(ValueError):
    """The message says where, what was found, what was expected, and what helps; its arguments are
    its lines. Whatever names are in it, as a text it has these lines and nothing that acts.

    A command line prints it and ends with code 2; a server and a notebook catch this class alone.
    """

    def __str__(self) -> str:
        return "\n  ".join(short(str(line), MOST) for line in self.args)


class ConfigError(UserError):
    """The recipe or an override is wrong; the message names every key at fault."""


class TableError(UserError):
    """A table is not what was asked for."""


class RunError(UserError):
    """The run folder cannot be used, or the run cannot go on."""


class DivergedError(UserError):
    """The loss is not finite: training has left the road, and a smaller step may keep it there."""


class ExportError(UserError):
    """An exported model is missing, incomplete, altered, or differs from the trained one."""


class NotFittedError(UserError, AttributeError):
    """A regressor that was not trained is asked for what only a trained one has."""


class DeviceError(UserError):
    """The device that was asked for is not there."""


def tell(error: UserError | OSError) -> None:
    """Print what went wrong on standard error, as every command line does, with its notes."""
    first, *others = lines_of(error)
    say(f"error: {first}", *others, to=sys.stderr)


def lines_of(error: UserError | OSError) -> list[str]:
    """What went wrong, with the notes of the error, line by line."""
    text = str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        text = short(f"{place}{error.strerror or error}", MOST)
    notes = (short(note, MOST) for note in getattr(error, "__notes__", ()))
    return "; ".join([text, *notes]).split("\n")
