"""Train a regressor on a table, export it, and prove that the export is the trained one.

python train.py -c configs/boston.yaml -o train.epochs=100
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from configs.load import ConfigError, describe_keys, dump, load
from configs.schema import Config, DataConfig
from model.predictor import DeviceError, ExportError, resolve_device
from reader.formats import Reading
from reader.metrics import Metrics, Sums
from reader.missing import Filling
from reader.pack import Cache, PackedTable, pack
from reader.schema import Schema, TableError
from reader.split import Split, evenly, split
from reader.statistics import Statistics
from reader.table import open_table
from run.checkpoint import load_checkpoint, save_checkpoint
from run.folder import RunError, RunFolder, to_json
from run.optimum import least_squares
from run.report import announce, epoch_line, summary, versions

if TYPE_CHECKING:  # Importing Paddle takes longer than finding most errors: it is done late.
    import paddle
    from paddle.optimizer import Optimizer

    from model.optimizer import Schedule
    from model.regressor import Regressor
    from reader.dataset import TableDataset
    from run.curves import Curves


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    device = [f"train.device={options.device}"] if options.device else []
    try:
        config = load(options.config, [*options.override, *device])
        RunFolder.check(config.run.dir, options.overwrite)
        train(config, options.overwrite)
    except (ConfigError, TableError, DeviceError, RunError, ExportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "interrupted; a run that had begun keeps its last whole epoch in checkpoints/last",
            file=sys.stderr,
        )
        return 130
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-c", "--config", required=True, metavar="RECIPE", help="a YAML recipe")
    parser.add_argument(
        "-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="set one key"
    )
    parser.add_argument("--device", metavar="auto|cpu|gpu|gpu:N", help="overrides train.device")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in run.dir")
    if {"-h", "--help"} & set(arguments):
        parser.epilog = "keys of a recipe:\n\n" + describe_keys()
    return parser.parse_args(arguments)


def train(config: Config, overwrite: bool) -> None:
    """One run, from the table to the report; nothing is written before the table has been read."""
    started = time.perf_counter()
    data = config.data
    packed, parts = read(data)
    if config.train.patience and not len(parts.validation):
        raise RunError("train.patience needs a validation part, and data.split.column names none")
    filling, statistics = study(data, packed, parts)
    known = statistics.constant, filling.describe()
    print(announce(data.path, packed.columns, parts._asdict(), *known), flush=True)

    import paddle

    from model.export import export
    from model.regressor import set_weights
    from run.curves import Curves

    paddle.set_device(resolve_device(config.train.device))
    regressor = build(config, packed, parts, filling, statistics)
    folder = RunFolder(config.run.dir, overwrite)
    folder.write("config.yaml", dump(config))
    folder.write("schema.json", to_json(packed.schema.describe()))
    with Curves(folder.path / "curves") as curves:
        curves.recipe(config.model_dump(), dump(config))
        progress = fit(config, packed, parts, regressor, folder, curves)
        chosen, _ = load_checkpoint(folder.path / "checkpoints" / config.train.export)
        set_weights(regressor.network, chosen)
        metrics = evaluate(regressor, packed, parts)
        show(curves, regressor, packed, parts, metrics)

    parity = export(
        regressor,
        folder.path / "export",
        contract=contract(data, packed.schema, statistics),
        rows=packed.matrix[evenly(len(packed.matrix), 10_000), :-1],
        target_range=statistics.maximum[-1] - statistics.minimum[-1],
    )
    report = {
        "metrics": {part: found.describe() for part, found in metrics.items()},
        "parity": parity,
        "data": {"path": data.path, "rows": len(packed.matrix), "sha256": packed.sha256},
        "model": {"name": config.model.name, "parameters": sum(w.size for w in chosen.values())},
        "best": {"epoch": progress.best_epoch, "value": progress.best_mse},
        "timing": {
            "total_s": time.perf_counter() - started,
            "train_s": progress.seconds,
            "rows_per_second": progress.epochs * len(parts.train) / progress.seconds,
        },
        "versions": versions(),
    }
    if config.model.name == "linear" and data.scale.target != "log1p":
        optimum = least_squares(statistics.mean, statistics.covariance)
        report["optimum"] = optimum.describe(metrics["train"].mse)
    folder.write("report.json", to_json(report))
    folder.done()
    print(*(f"{part:<11} {found}" for part, found in metrics.items()), sep="\n")
    print(summary(report, folder.path))


def reading_of(data: DataConfig) -> Reading:
    return Reading(
        data.format, data.separator, data.comment, data.decimal_comma, data.missing.values
    )


def read(data: DataConfig) -> tuple[PackedTable, Split]:
    """The table's rows, in memory or mapped into it, every cell checked; and their parts."""
    table = open_table(data.path, data.columns, reading_of(data))
    column = data.split.column
    schema = Schema.of(data.path, table.columns, data.target, data.exclude, column)
    cache = Cache(Path(data.cache), data.memory_limit * 2**20)
    may_be_empty = () if data.missing.numeric == "error" else schema.features
    packed = pack(table, schema, cache, may_be_empty)
    texts = table.texts(column) if column else ()
    return packed, split(len(packed.matrix), **data.split.model_dump(), texts=texts)


def study(data: DataConfig, packed: PackedTable, parts: Split) -> tuple[Filling, Statistics]:
    """What the training rows, and they alone, tell: what fills in for missing numbers, and the
    statistics of what is then there."""
    filling = Filling.of(
        packed.schema.features,
        lambda: packed.blocks(parts.train),
        data.missing.numeric,
        data.missing.constant,
        data.missing.indicator,
    )
    columns = (*filling.columns, data.target)
    return filling, Statistics.of(columns, filling.apply(packed.blocks(parts.train)))


def build(
    config: Config, packed: PackedTable, parts: Split, filling: Filling, statistics: Statistics
) -> Regressor:
    """The regressor that the recipe describes, with first weights."""
    from model.impute import Impute
    from model.regressor import build_regressor

    scale = config.data.scale
    if log_target := scale.target == "log1p":
        target = statistics.log1p(packed.blocks(parts.train)).scaling("standard")
    else:
        target = statistics.scaling(scale.target)
    return build_regressor(
        config.train.seed,
        statistics.scaling(scale.features),
        target,
        log_target,
        None if filling.rule == "error" else Impute(filling.values, filling.indicated),
        **config.model.model_dump(),
    )


def contract(data: DataConfig, schema: Schema, statistics: Statistics) -> dict[str, Any]:
    """What an exported model says of itself: its columns, and what they held in training."""
    return {
        "features": schema.features,
        "target": schema.target,
        "schema": schema.describe(),
        "reading": asdict(reading_of(data)),
        "may_be_empty": data.missing.numeric != "error",
        "statistics": statistics.describe(),
        "versions": versions(),
    }


@dataclass
class Progress:
    """How far training has come; the best MSE (target unit squared) is that of the watched part."""

    epochs: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_mse: float = math.inf


def fit(
    config: Config,
    packed: PackedTable,
    parts: Split,
    regressor: Regressor,
    folder: RunFolder,
    curves: Curves,
) -> Progress:
    """Train epoch by epoch; leaves its weights in checkpoints/last and checkpoints/best."""
    from model.optimizer import build_optimizer, build_schedule
    from model.regressor import get_weights
    from reader.dataset import TableDataset

    options, network, progress = config.train, regressor.network, Progress()
    dataset = TableDataset(packed.matrix, parts.train, options.batch_size, options.seed)
    optimizer = build_optimizer(network=network, **config.optimizer.model_dump())
    schedule = build_schedule(
        learning_rate=config.optimizer.learning_rate,
        steps_per_epoch=dataset.steps,
        epochs=options.epochs,
        **config.schedule.model_dump(),
    )
    with tqdm(total=options.epochs * dataset.steps, unit="step", leave=False, disable=None) as bar:
        for epoch in range(1, options.epochs + 1):
            started = time.perf_counter()
            for step, loss in train_epoch(epoch, regressor, optimizer, schedule, dataset):
                bar.update()
                if step % options.log_every == 0:
                    value = finite(float(loss), epoch, config.optimizer.learning_rate)
                    curves.step(step, value, optimizer.get_lr())
            seconds = time.perf_counter() - started

            metrics = evaluate(regressor, packed, parts._replace(test=parts.test[:0]))
            watched = finite(list(metrics.values())[-1].mse, epoch, config.optimizer.learning_rate)
            state = {"epoch": epoch, "step": step + 1, "mse": watched}
            save_checkpoint(folder.path / "checkpoints" / "last", get_weights(network), state)
            if watched < progress.best_mse:
                progress.best_epoch, progress.best_mse = epoch, watched
                save_checkpoint(folder.path / "checkpoints" / "best", get_weights(network), state)
            progress.epochs, progress.seconds = epoch, progress.seconds + seconds

            for part, found in metrics.items():
                curves.epoch(epoch, part, found.describe())
            curves.speed(epoch, len(parts.train) / seconds)
            curves.histograms(epoch, network)
            rmse = {part: found.rmse for part, found in metrics.items()}
            if line := epoch_line(epoch, options.epochs, rmse):
                bar.write(line)
            if options.patience and epoch - progress.best_epoch >= options.patience:
                bar.write(f"no better validation MSE for {options.patience} epochs: stopped early")
                break
    return progress


def train_epoch(
    epoch: int,
    regressor: Regressor,
    optimizer: Optimizer,
    schedule: Schedule,
    dataset: TableDataset,
) -> Iterator[tuple[int, paddle.Tensor]]:
    """One pass over the training rows; yields each step, counted over the run, and its loss.

    The loss is the mean squared error on the scaled target, so that a learning rate does not
    depend on the target's unit.
    """
    import paddle
    import paddle.nn.functional as F

    network = regressor.network
    network.train()
    dataset.set_epoch(epoch)
    step = (epoch - 1) * dataset.steps
    for index, block in enumerate(dataset.blocks()):
        paddle.seed(dataset.block_seed(index))  # dropout's; a resumed run would draw the same
        features = regressor.prepare(block[:, :-1])
        target = regressor.scale_target(block[:, -1:])
        sizes = dataset.batch_sizes(len(block))
        for x, y in zip(paddle.split(features, sizes), paddle.split(target, sizes), strict=True):
            optimizer.set_lr(schedule(step))
            prediction = network(x)
            assert prediction.shape == y.shape, (prediction.shape, y.shape)
            loss = F.mse_loss(prediction, y)
            optimizer.clear_grad(set_to_zero=False)
            loss.backward()
            optimizer.step()
            yield step, loss
            step += 1


def show(
    curves: Curves,
    regressor: Regressor,
    packed: PackedTable,
    parts: Split,
    metrics: dict[str, Metrics],
) -> None:
    """Put the final figures and pictures of the test part (or of what there is) into VisualDL."""
    from run.pictures import predicted_against_actual, residuals

    part = list(metrics)[-1]
    members = getattr(parts, part)
    rows = packed.matrix[members[evenly(len(members), 5_000)]]
    target, prediction = rows[:, -1], regressor.predict(rows[:, :-1])[:, 0]
    curves.picture("predicted against actual", predicted_against_actual(target, prediction))
    curves.picture("residuals", residuals(target, prediction))
    curves.result(metrics[part].describe())


def finite(value: float, epoch: int, learning_rate: float) -> float:
    """The value itself. Raises RunError where it is NaN or infinite."""
    if math.isfinite(value):
        return value
    raise RunError(
        f"the loss is {value} in epoch {epoch}: training diverged; try a smaller step, "
        f"-o optimizer.learning_rate={learning_rate / 10:g}, or another data.scale"
    )


def evaluate(regressor: Regressor, packed: PackedTable, parts: Split) -> dict[str, Metrics]:
    """Metrics in the target's unit over every row of each part that has rows."""
    metrics = {}
    for part, rows in parts._asdict().items():
        sums = Sums()
        for block in packed.blocks(rows):
            sums.add(block[:, -1:], regressor.predict(block[:, :-1]))
        if len(rows):
            metrics[part] = sums.metrics()
    return metrics


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
