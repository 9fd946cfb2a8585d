"""Proof that a run which was killed and resumed ends like one that was left alone."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from display import say
from errors import RunError
from ranks.job import refuse_several
from run.contents import CONFIG
from run.restore import STEP

ATTEMPTS = 5
SAME = (
    "checkpoints/last/weights.safetensors",
    "checkpoints/best/weights.safetensors",
    "export/model.json",
    "export/model.pdiparams",
    "export/contract.json",
)


def resumes_exactly(script: Path, arguments: Sequence[str]) -> bool:
    """Run `script` with `arguments` twice, once killed at a random block and resumed; say on
    standard output whether weights, optimizer and export are the same bytes.

    Raises RunError where a child fails by itself, and in one of several processes.
    """
    refuse_several("--verify-resume starts processes of its own")
    given = [a for a in arguments if a not in ("--verify-resume", "--overwrite", "--resume")]
    with tempfile.TemporaryDirectory(prefix="verify-resume-") as folder:
        whole = Path(folder) / "whole"
        command = [sys.executable, str(script), *given, "-o", "checkpoint.steps=1", "-o"]
        _finish([*command, f"run.dir={whole}"])
        steps = _last_step(whole)
        for attempt in range(ATTEMPTS):
            killed = Path(folder) / f"killed-{attempt}"
            moment = random.randrange(steps)  # noqa: S311, no secret
            if (at := _kill([*command, f"run.dir={killed}"], killed, moment)) is not None:
                break
        else:
            raise RunError(f"the run ended before it could be killed, {ATTEMPTS} times; try again")
        say(f"killed by SIGKILL with step {at:,} of {steps:,} saved; resuming")
        _finish([*command, f"run.dir={killed}", "--resume"])
        last = Path("checkpoints", f"{STEP}{steps}")
        names = [*SAME, *(str(last / f.name) for f in (whole / last).glob("*.safetensors"))]
        different = [n for n in names if (whole / n).read_bytes() != (killed / n).read_bytes()]
        if different:
            say(f"not equal: {', '.join(different)}")
        else:
            say(f"equal: weights, optimizer and export, {len(names)} files to the bit")
        return not different


def _finish(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RunError(f"a run of the check failed: {done.stderr.strip().splitlines()[-1]}")


def _last_step(run: Path) -> int:
    folders = (run / "checkpoints").glob(f"{STEP}*")
    return max((int(path.name.removeprefix(STEP)) for path in folders), default=0)


def _kill(command: Sequence[str], run: Path, moment: int) -> int | None:
    """Kill a run when step `moment` has been saved; the step at which it was, None if it ended."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    while child.poll() is None:
        if (run / CONFIG).exists() and _last_step(run) >= moment:
            child.send_signal(signal.SIGKILL)
            break
        time.sleep(0.0005)
    return _last_step(run) if child.wait() == -signal.SIGKILL else None
