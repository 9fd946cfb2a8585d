"""The predictions of a table: a line a row, in order, and what a reader of them should know."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from display import quoted, say, short, visible
from errors import ExportError, TableError, UserError
from model.base_predictor import BasePredictor
from model.contract import Contract
from model.contributions import Contributions
from model.folder import Export
from model.monitor import Monitor
from output import Output
from reader.formats import Reading
from reader.kinds import Encoder, exact_numbers
from reader.metrics import Sums
from reader.parallel import read_ahead
from reader.rows import ROWS_PER_BATCH, Batch, Layout, first_cells
from reader.schema import Schema, abridged, free_name, id_headers
from reader.table import Table, open_like
from spelling import did_you_mean

CELLS_AHEAD = 2**24  # 64 MB: about what is read of a table while Paddle is imported
EFFECTS_AT_ONCE = 2**21
ROUNDED = 10  # times as far from the graph, which computes in float32, as it may be from itself
FLAGGED = "fix the cell"
ADVICE = f"{FLAGGED}, or leave the prediction of its row empty with --on-error flag"


class Wanted(NamedTuple):
    """`columns`: names of columns to write beside the ids, or several after commas; `flag`: whether
    a wrong row has no prediction, but the reason; `safe`: see output.for_spreadsheet."""

    columns: Sequence[str] = ()
    flag: bool = False
    safe: bool = False


def contributions(export: Export, name: str) -> Contributions:
    """Raises UserError where the model, called `name`, has none, or others than its graph."""
    contract = export.contract
    if "additive" not in contract:
        raise UserError(
            f"--explain: {name} is no sum of effects; train one with -o model.name=additive, or "
            "predict without --explain"
        )
    found, golden = Contributions(contract["additive"], contract["features"]), contract["golden"]
    with np.errstate(all="ignore"):  # what is not finite is refused
        rows = np.array(golden["rows"], dtype=np.float32).reshape(-1, len(contract["features"]))
        told = np.array(golden["predictions"])
        apart = np.abs(found.predict(found.of(rows, told)) - told)
    if not apart.max(initial=0.0) <= ROUNDED * golden["tolerance"]:
        raise ExportError(
            f"--explain: the effects in {name} do not add up to its golden predictions, but differ "
            f"by {apart.max():g} in the target's unit; train the model again"
        )
    return found


def predict(
    contract: Contract,
    source: Path,
    output: Output,
    load: Callable[[], BasePredictor],
    wanted: Wanted,
    explained: Contributions | None = None,
) -> None:
    """Write ids, other columns, prediction, effects where they are `explained` and, with `flag`,
    error: a line a row, in order; then warn of what is unlike training, and print metrics, where
    the target is known."""
    schema = Schema.read(contract["schema"])
    table = open_like(source, schema, Reading(**contract["reading"]))
    known, flag = schema.target in table.columns, wanted.flag
    encoders = [Encoder(column, contract["may_be_empty"]) for column in schema.features]
    target = [Encoder(schema.target_column, True, may_be_wrong=True)] if known else []
    passed = passed_columns(wanted.columns, schema, table)
    advice = FLAGGED if flag else ADVICE
    layout = Layout((*encoders, *target), passed, flag, advice, output.is_typed)
    monitor, sums, wrong = Monitor(contract), Sums(), 0
    most = max(1, CELLS_AHEAD // (ROWS_PER_BATCH * len(layout.names)))
    with read_ahead(table.batches(layout), most) as batches:
        predictor = load()
        headers = id_headers(passed, [*predictor.outputs, *effect_headers(explained)])
        with output.open(wanted.safe) as writer:
            for batch in one_or_more(batches, table, layout):
                rows, _, errors = batch
                features = np.ascontiguousarray(rows[:, :-1]) if known else rows
                features[list(errors)] = 0
                predictions = predictor.predict_outputs(features)
                named = dict(zip(predictor.outputs, predictions.T, strict=True))
                ids = with_numbers(batch.ids, schema, table) if output.is_typed else batch.ids
                lines = lines_of(named, batch._replace(ids=ids.rename(headers)), flag)
                told = (features, predictions[:, 0], list(errors))
                for piece in with_effects(lines, *told, explained):
                    writer.write(piece)
                right = np.delete(features, list(errors), axis=0) if errors else features
                monitor.add(right, wrong=len(errors))
                wrong += len(errors)
                if known:
                    at = np.isfinite(rows[:, -1])
                    sums.add(rows[at, -1], predictions[at, 0])
    for encoder in encoders:
        monitor.count(encoder.column.name, encoder.missing, encoder.unknown)
    say_notes(headers, explained)
    report(schema, table, passed, monitor, sums, wrong)
    if target and (unread := target[0].unknown):
        rows_of = "1 row" if unread == 1 else f"{unread:,} rows"
        target_of = short(schema.target)
        note = f"note: {target_of} is not a number in {rows_of}; metrics leave them out"
        say(note, to=sys.stderr)


def passed_columns(asked: Sequence[str], schema: Schema, table: Table) -> tuple[str, ...]:
    """The id columns, and behind them those that are asked for. Raises TableError for a name that
    is not a column."""
    names = [name for name in schema.ids if name in table.columns]
    for text in asked:
        several = [text] if text in table.columns else text.split(",")
        names += filter(None, map(str.strip, several))
    for name in names:
        if name not in table.columns:
            raise TableError(
                f"{table.path}: --columns names {quoted(name)}, which is not a column"
                f"{did_you_mean(name, table.columns)}; the columns are {abridged(table.columns)}"
            )
    return tuple(dict.fromkeys(names))


def one_or_more(batches: Iterator[Batch], table: Table, layout: Layout) -> Iterator[Batch]:
    """The batches; of a table without rows one without rows, for the header and the types."""
    none = True
    for batch in batches:
        none = False
        yield batch
    if none:
        cells = first_cells(table.files[0], layout.ids, 0).drop("suspect")
        cells.columns = list(layout.ids)
        width = sum(len(encoder.column.packed) for encoder in layout.encoders)
        yield Batch(np.empty((0, width), np.float32), cells, {})


def with_numbers(cells: pl.DataFrame, schema: Schema, table: Table) -> pl.DataFrame:
    """The cells, in place of texts float64 in the columns that the model reads as numbers."""
    columns = {column.name: column for column in schema.columns}
    texts = [name for name, kind in cells.schema.items() if kind == pl.String and name in columns]
    numbers = [name for name in texts if columns[name].kind in ("numeric", "target")]
    reading = table.files[0].reading
    return cells.with_columns(exact_numbers(cells[n], columns[n], reading) for n in numbers)


def lines_of(predictions: dict[str, NDArray[np.float32]], batch: Batch, flag: bool) -> pl.DataFrame:
    """The lines of a batch; with `flag`, a wrong row without prediction, but with the reason."""
    lines = {name: batch.ids[name] for name in batch.ids.columns}
    lines |= {name: pl.Series(values) for name, values in predictions.items()}
    if flag:
        wrong, reasons = list(batch.errors), list(map(visible, batch.errors.values()))
        empty = pl.repeat(None, len(batch.rows), dtype=pl.String, eager=True)
        lines["error"] = empty.scatter(wrong, reasons) if wrong else empty
        lines |= {name: lines[name].scatter(wrong, None) for name in predictions if wrong}
    return pl.DataFrame(lines)


def effect_headers(explained: Contributions | None) -> list[str]:
    """What the columns of effects are called, each otherwise."""
    headers: dict[str, None] = {}
    of = "effect on log of" if explained and explained.log else "effect of"
    for name in explained.names if explained else ():
        what = f"{of} {name}"
        headers[free_name(what, headers)] = None
    return [*headers]


def with_effects(
    lines: pl.DataFrame,
    features: NDArray[np.float32],
    predictions: NDArray[np.float32],
    wrong: list[int],
    explained: Contributions | None,
) -> Iterator[pl.DataFrame]:
    """The lines of rows [n, D] and their predictions [n] with effects, none of those that are
    `wrong`, before a column `error`: so many at a time that memory does not grow with the number of
    effects."""
    if explained is None:
        yield lines
        return
    is_wrong = np.zeros(len(lines), dtype=np.bool_)
    is_wrong[wrong] = True
    names = effect_headers(explained)
    size = max(1, EFFECTS_AT_ONCE // len(names))
    for start in range(0, len(lines), size):
        part = slice(start, start + size)
        effects = explained.of(features[part], predictions[part]).round(explained.decimals)
        effects += 0.0  # no -0.0 is told
        effects[is_wrong[start : start + size]] = np.nan
        columns = pl.from_numpy(effects, names, orient="row").fill_nan(None)
        piece = lines[start : start + size]
        error = [name for name in piece.columns if name == "error"]
        yield pl.concat([piece.drop(error), columns, piece.select(error)], how="horizontal")


def say_notes(headers: Mapping[str, str], explained: Contributions | None) -> None:
    """Say on stderr what effects add up to, and which columns are written under other names."""
    if explained:
        what = "log(1 + prediction)" if explained.log else "the prediction"
        say(f"note: {what} is {explained.center:.9g} and the effects", to=sys.stderr)
    for name, written in headers.items():
        if name != written:
            note = f"note: the column {short(name)} is written as {short(written)}"
            say(note, to=sys.stderr)


def report(
    schema: Schema, table: Table, passed: Sequence[str], monitor: Monitor, sums: Sums, wrong: int
) -> None:
    """Say on stderr what a reader of the predictions should know; `passed`: columns that are
    written with them."""
    if not monitor.rows:
        say(f"note: {table.path} has no rows, so there are no predictions", to=sys.stderr)
        return
    notes = [f"note: {note}" for note in table.notes]
    if ignored := [
        name
        for name in table.columns
        if name not in (*schema.names, *table.header.row_names, *passed)
    ]:
        notes.append(f"note: columns not trained on are ignored: {abridged(ignored)}")
    if wrong:
        notes.append(
            f"warning: {wrong:,} of {monitor.rows:,} rows have no prediction; "
            "the column error says why"
        )
    notes += [f"warning: {warning}" for warning in monitor.warnings()]
    if sums.rows:
        target = short(schema.target)
        notes.append(f"{target} is known in {sums.rows:,} of {monitor.rows:,} rows:")
        notes.append(str(sums.metrics()))
    if notes:
        say(*notes, to=sys.stderr)
