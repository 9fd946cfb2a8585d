from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from errors import RunError
from files import drafted
from run.checkpoint import load_checkpoint, save_checkpoint
from run.folder import RunFolder, standing
from tests.run.checkpoints import write_state


def start(path: Path, mark: str, overwrite: bool = False) -> RunFolder:
    folder = RunFolder(path, overwrite)
    folder.write("config.yaml", mark)
    return folder


def test_a_run_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    start(tmp_path / "run", "one").done()
    with pytest.raises(RunError, match=r"holds a finished run; .* --overwrite"):
        start(tmp_path / "run", "two")


def checkpoint(folder: RunFolder, epoch: int) -> None:
    write_state(folder.path / "checkpoints" / f"step-{10 * epoch}", epoch)


def test_an_unfinished_run_says_where_it_stands(tmp_path: Path) -> None:
    folder = start(tmp_path / "run", "one")
    for epoch in (9, 12):
        checkpoint(folder, epoch)
    folder.close()
    with pytest.raises(RunError, match=r"unfinished run \(checkpoint after epoch 12, 20.*resume"):
        start(tmp_path / "run", "two")
    (tmp_path / "run" / "checkpoints" / "step-120" / "state.json").write_text("torn")
    with pytest.raises(RunError, match=r"after epoch 9, 20"):
        start(tmp_path / "run", "two")
    RunFolder(tmp_path / "run", overwrite=False, resume=True).close()


def test_a_run_without_a_checkpoint_or_that_diverged_gives_way(tmp_path: Path) -> None:
    start(tmp_path / "run", "one").close()
    folder = start(tmp_path / "run", "two")
    checkpoint(folder, 3)
    folder.diverged("the loss is nan")
    folder.close()
    with pytest.raises(RunError, match="diverged, and would again"):
        RunFolder(tmp_path / "run", overwrite=False, resume=True)
    start(tmp_path / "run", "three").done()
    assert (tmp_path / "run" / "config.yaml").read_text() == "three"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_fold_tells_where_it_stands(tmp_path: Path) -> None:
    folder = start(tmp_path / "run", "one")
    inner = RunFolder(folder.path / "folds" / "2", overwrite=False)
    checkpoint(inner, 1)
    assert str(standing(folder.path)).startswith("checkpoint fold 2, after epoch 1, 20")


def test_a_run_that_is_replaced_stays_until_the_new_one_is_done(tmp_path: Path) -> None:
    run, aside = tmp_path / "run", tmp_path / "run" / ".previous-run"
    one = start(run, "one")
    (run / "export").mkdir()
    for name in ("model.json", "notes.txt"):
        (run / "export" / name).write_text(f"{name} one")
    one.done()
    one.close()
    two = start(run, "two", overwrite=True)
    assert (aside / "config.yaml").read_text() == "one"
    assert (run / "export" / "model.json").read_text() == "model.json one"
    assert two.give_up() == "the run before it is back in its place"
    two.close()
    assert ((run / "config.yaml").read_text(), (run / "DONE").exists()) == ("one", True)
    three = start(run, "three", overwrite=True)
    checkpoint(three, 5)
    assert three.give_up().endswith(f"the run before it, which is kept in {aside}")
    three.close()
    with pytest.raises(RunError, match=r"unfinished run \(checkpoint after epoch 5"):
        RunFolder(run, overwrite=False)
    RunFolder(run, overwrite=False, resume=True).close()
    four = start(run, "four", overwrite=True)
    assert not (run / "checkpoints").exists()
    assert (aside / "config.yaml").read_text() == "one"
    four.done()
    four.close()
    assert (run / "config.yaml").read_text() == "four"
    assert (run / "export" / "notes.txt").read_text() == "notes.txt one"
    assert not aside.exists()


def test_only_a_folder_with_our_mark_is_replaced(tmp_path: Path) -> None:
    run = tmp_path / "run"
    start(run, "one").close()
    (run / ".lock").write_bytes(b"")  # as an earlier version left it
    for overwrite in (True, False):
        with pytest.raises(RunError, match="does not say that this program made the folder"):
            RunFolder(run, overwrite)
    RunFolder(run, overwrite=False, resume=True).close()
    assert (run / "config.yaml").read_text() == "one"


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_no_run_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    for name in ("run", "file"):
        with pytest.raises(RunError, match="is not a run folder"):
            RunFolder(tmp_path / name, overwrite)
    assert (tmp_path / "run" / "thesis.txt").exists()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    start(tmp_path / "run", "one").done()


def test_checkpoint_reads_back_bit_for_bit(tmp_path: Path) -> None:
    weights = {"a.weight": np.array([[0.1], [np.float32(1e-40)]], dtype=np.float32)}
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "last", weights, {"epoch": epoch})
    found, state = load_checkpoint(tmp_path / "last")
    assert found["a.weight"].tobytes() == weights["a.weight"].tobytes()
    assert state == {"epoch": 2}
    assert len(list((tmp_path / "last").iterdir())) == 2


def test_predictions_that_are_being_written_stay(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", False).close()
    with drafted(tmp_path / "run" / "predictions.csv") as file:
        file.write(b"1")
        RunFolder(tmp_path / "run", True).close()
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == b"1"
