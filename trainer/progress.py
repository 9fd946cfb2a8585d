"""What a run says while it works: its lines, and where it stands."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from display import anew, say
from errors import RunError
from reader.metrics import title
from reader.split import Split

AT_ONCE, SELDOM = 0.1, 30.0  # seconds between two updates on a terminal, and elsewhere
LATER = 0.05  # elsewhere, the share of the time so far that passes before the next one
LINES = 10  # of a run's epochs
WIDTH = 12  # characters of the bar
PARTS = Split._fields


class Progress:
    """Lines on standard output, and on standard error the phase a run is in: on a terminal one line
    that is written anew, elsewhere a line every so often. The clock counts the sittings of a run
    that was resumed, too.

    `quiet`: only what is said with `always`; `verbose`: a line for each epoch.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.prefix = ""
        self._is_terminal = sys.stderr.isatty()
        self._started = self._shown = time.perf_counter()
        self._earlier = 0.0
        self._is_open = False

    def elapsed(self) -> float:
        """Seconds of this sitting and of those before it."""
        return self._earlier + time.perf_counter() - self._started

    def add_earlier(self, seconds: float) -> None:
        """Count the sittings before this one; of several trainings of a run, the last tells all."""
        self._earlier = max(self._earlier, seconds)

    def say(self, *lines: str, always: bool = False) -> None:
        """Print lines that stay."""
        if not lines or (self.quiet and not always):
            return
        self.close()
        say(*lines)

    def phase(self, text: str) -> None:
        """Show what begins now; it may last."""
        if self._is_terminal:
            self._shown = 0.0
        self.show(lambda: f"{text} ...")

    def reading(self, rows: int, expected: float) -> None:
        """Show how much of a table has been read; `expected`: about how many rows there are, 0
        where nobody knows."""
        share = f"{min(0.99, rows / expected):.0%}" if expected else f"{rows:,} rows"
        self.show(lambda: f"reading the table: {share}")

    def show(self, text: Callable[[], str]) -> None:
        """Show where the run stands, if it is time for that."""
        now = time.perf_counter()
        often = AT_ONCE if self._is_terminal else max(SELDOM, LATER * (now - self._started))
        if self.quiet or now - self._shown < often:
            return
        self._shown = now
        line = f"{self.prefix}{text()}"
        if self._is_terminal:
            anew(line)
        else:
            say(line, to=sys.stderr)
        self._is_open = self._is_terminal

    def close(self) -> None:
        """Take the line that is written anew off the terminal."""
        if self._is_open:
            anew("")
            self._is_open = False

    def epoch(self, epoch: int, epochs: int, metric: str, values: Mapping[str, float]) -> None:
        """Say how an epoch went: about ten of a run, or each where it is `verbose`."""
        if not self.verbose and epoch % -(-epochs // LINES) and epoch not in (1, epochs):
            return
        name = title(metric)
        shown = "   ".join(f"{part} {name} {values[part]:.5g}" for part in PARTS if part in values)
        self.say(f"{self.prefix}epoch {epoch:>{len(str(epochs))}}/{epochs}   {shown}")


def bar(share: float) -> str:
    """A bar of which this share is full."""
    full = int(share * WIDTH)
    return f"[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as in 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Silence(Progress):
    """Of a process that another one speaks for."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def say(self, *lines: str, always: bool = False) -> None:
        """Nothing."""


class TqdmProgress(Progress):
    """The epochs as a bar of tqdm, in a notebook as its widget, and nothing else. Raises RunError
    where tqdm is not installed."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise RunError("progress=True needs tqdm: pip install tqdm") from None
        self._new = tqdm
        self._bar: Any = None

    def epoch(self, epoch: int, epochs: int, metric: str, values: Mapping[str, float]) -> None:
        if self._bar is not None and epoch <= self._bar.n:  # of the next training of the run
            self.close()
        if self._bar is None:
            self._bar = self._new(total=epochs, unit="epoch", desc=f"{self.prefix}training")
        self._bar.set_postfix({f"{part} {title(metric)}": f"{v:.5g}" for part, v in values.items()})
        self._bar.update(epoch - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
