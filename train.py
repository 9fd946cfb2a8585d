"""Train a regressor on a table, export it, and prove that the export is the trained one.

python train.py -c configs/boston.yaml -o train.epochs=100
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from configs.load import ConfigError, describe_keys, dump, load
from configs.schema import Config, DataConfig
from model.predictor import DeviceError, ExportError, resolve_device
from reader.findings import findings, overview
from reader.formats import Reading
from reader.metrics import Metrics, Sums, mean_and_deviation
from reader.schema import TableError
from reader.split import Split, evenly
from reader.training_data import Source, TrainingData, read, study
from run.checkpoint import load_checkpoint, save_checkpoint
from run.folder import RunError, RunFolder, to_json
from run.optimum import Optimum, least_squares
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
        RunFolder.check(config.run.dir, options.overwrite or options.check)
        train(config, options.overwrite, options.check)
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
    parser.add_argument(
        "--check", action="store_true", help="show what the table holds, and stop before training"
    )
    if {"-h", "--help"} & set(arguments):
        parser.epilog = "keys of a recipe:\n\n" + describe_keys()
    return parser.parse_args(arguments)


def train(config: Config, overwrite: bool, check: bool = False) -> None:
    """One run, from the table to the report; nothing is written before the table has been read."""
    started = time.perf_counter()
    source = read_table(config.data)
    data = study_rows(config.data, source, source.parts)
    if config.train.patience and not len(data.parts.validation):
        raise RunError("train.patience needs a validation part, and data.split.column names none")
    print(announce(config.data.path, overview(data), data.parts._asdict()))
    if check:
        print(*findings(data), sep="\n")
        return
    if constant := data.statistics.constant:
        print(f"warning: constant in the training rows: {', '.join(constant)}", flush=True)

    import paddle

    from model.export import export
    from run.curves import Curves

    paddle.set_device(resolve_device(config.train.device))
    regressor = build(config, data)
    folder = RunFolder(config.run.dir, overwrite)
    folder.write("config.yaml", dump(config))
    folder.write("schema.json", to_json(data.schema.describe()))
    folds = cross_validate(config, source, folder.path / "folds")
    with Curves(folder.path / "curves") as curves:
        curves.recipe(config.model_dump(), dump(config))
        progress = fit(config, data, regressor, folder.path / "checkpoints", curves)
        metrics = evaluate(regressor, data, data.parts)
        show(curves, regressor, data, metrics)

    extent = data.statistics.maximum[-1] - data.statistics.minimum[-1]
    may_be_empty = config.data.missing.numeric != "error"
    parity = export(
        regressor,
        folder.path / "export",
        contract=data.contract(reading_of(config.data), may_be_empty) | {"versions": versions()},
        rows=data.packed.take(evenly(len(data.packed), 10_000))[:, :-1],
        target_range=extent,
    )
    report = {
        **results(config, data, metrics, progress, folds),
        "parity": parity,
        "versions": versions(),
    }
    report["timing"]["total_s"] = time.perf_counter() - started
    folder.write("report.json", to_json(report))
    folder.done()
    print(*(f"{part:<11} {found}" for part, found in metrics.items()), sep="\n")
    print(summary(report, folder.path))


def results(
    config: Config,
    data: TrainingData,
    metrics: dict[str, Metrics],
    progress: Progress,
    folds: list[Metrics],
) -> dict[str, Any]:
    """The figures of report.json that training gives."""
    packed = data.packed
    report = {
        "metrics": {part: found.describe() for part, found in metrics.items()},
        "data": {"path": config.data.path, "rows": len(packed), "sha256": packed.sha256},
        "model": {"name": config.model.name, "parameters": progress.parameters},
        "best": {"epoch": progress.best_epoch, "value": progress.best_mse},
        "timing": {
            "train_s": progress.seconds,
            "rows_per_second": progress.epochs * len(data.parts.train) / progress.seconds,
        },
    }
    if folds:
        report["folds"] = mean_and_deviation(folds)
    if (optimum := best_line(config, data)) is not None:
        report["optimum"] = optimum.describe(metrics["train"].mse)
    return report


def reading_of(data: DataConfig) -> Reading:
    return Reading(
        data.format, data.separator, data.comment, data.decimal_comma, data.missing.values
    )


def read_table(data: DataConfig) -> Source:
    """The table, packed and divided."""
    return read(
        data.path,
        data.target,
        reading_of(data),
        columns=data.columns,
        exclude=data.exclude,
        kinds=data.kinds,
        time_format=data.time_format,
        split_options=data.split.model_dump(exclude={"validation_path", "test_path", "folds"}),
        other_paths=(data.split.validation_path, data.split.test_path),
        may_be_empty=data.missing.numeric != "error",
        cache=Path(data.cache),
        memory_limit=data.memory_limit,
    )


def study_rows(data: DataConfig, source: Source, parts: Split) -> TrainingData:
    """What the training rows of `parts` tell."""
    missing = data.missing.model_dump(exclude={"values"})
    return study(source, parts, **missing, **data.categories.model_dump())


def build(config: Config, data: TrainingData) -> Regressor:
    """The regressor that the recipe describes, with first weights."""
    from model.preprocess import Preprocess
    from model.regressor import Regressor, build_network, build_target
    from model.scale import Scale

    encoding, scale = data.encoding, config.data.scale
    prepare = Preprocess(
        encoding.numbers.tolist(),
        encoding.fill,
        encoding.indicated.tolist(),
        encoding.one_hot,
        [position for position, _ in encoding.embedded],
        Scale(*data.features(scale.features)),
    )
    network = build_network(
        features=len(encoding.names),
        seed=config.train.seed,
        codes=[codes for _, codes in encoding.embedded],
        **config.model.model_dump(),
    )
    target = build_target(*data.target(scale.target), log=scale.target == "log1p")
    return Regressor(prepare, network, target)


def cross_validate(config: Config, source: Source, folder: Path) -> list[Metrics]:
    """The metrics of each fold of the training rows, by a regressor that has not seen it."""
    from run.curves import Curves

    split, found = config.data.split, []
    parts = source.folds(split.folds, split.method, split.seed) if split.folds else ()
    for number, fold in enumerate(parts, start=1):
        data = study_rows(config.data, source, fold)
        regressor = build(config, data)
        path = folder / str(number)
        with Curves(path / "curves") as curves:
            fit(config, data, regressor, path / "checkpoints", curves)
        found.append(evaluate(regressor, data, fold)["test"])
        print(f"fold {number}/{split.folds}  {found[-1]}", flush=True)
    return found


def best_line(config: Config, data: TrainingData) -> Optimum | None:
    """Least squares on the training rows, where the model is a line and its loss squared."""
    line = config.model.name == "linear" and config.data.scale.target != "log1p"
    if not line or data.encoding.embedded:
        return None
    return least_squares(data.statistics.mean, data.statistics.covariance)


@dataclass
class Progress:
    """How far training has come; the best MSE (target unit squared) is that of the watched part."""

    epochs: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_mse: float = math.inf
    parameters: int = 0


def fit(
    config: Config, data: TrainingData, regressor: Regressor, checkpoints: Path, curves: Curves
) -> Progress:
    """Train epoch by epoch; leaves its weights in `checkpoints`, last and best, and in the
    regressor those to be exported."""
    from model.optimizer import build_optimizer, build_schedule
    from model.regressor import get_weights, set_weights
    from reader.dataset import TableDataset

    options, network, progress = config.train, regressor.network, Progress()
    parts, width = data.parts, len(data.encoding.names) + len(data.encoding.embedded)
    dataset = TableDataset(data.packed, parts.train, options.batch_size, options.seed, width)
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

            metrics = evaluate(regressor, data, parts._replace(test=parts.test[:0]))
            watched = finite(list(metrics.values())[-1].mse, epoch, config.optimizer.learning_rate)
            state = {"epoch": epoch, "step": step + 1, "mse": watched}
            save_checkpoint(checkpoints / "last", get_weights(network), state)
            if watched < progress.best_mse:
                progress.best_epoch, progress.best_mse = epoch, watched
                save_checkpoint(checkpoints / "best", get_weights(network), state)
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
    chosen, _ = load_checkpoint(checkpoints / options.export)
    set_weights(network, chosen)
    progress.parameters = sum(values.size for values in chosen.values())
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
    curves: Curves, regressor: Regressor, data: TrainingData, metrics: dict[str, Metrics]
) -> None:
    """Put the final figures and pictures of the test part (or of what there is) into VisualDL."""
    from run.pictures import predicted_against_actual, residuals

    part = list(metrics)[-1]
    members = getattr(data.parts, part)
    rows = data.packed.take(members[evenly(len(members), 5_000)])
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


def evaluate(regressor: Regressor, data: TrainingData, parts: Split) -> dict[str, Metrics]:
    """Metrics in the target's unit over every row of each part that has rows."""
    metrics = {}
    for part, rows in parts._asdict().items():
        sums = Sums()
        for block in data.packed.blocks(rows):
            sums.add(block[:, -1:], regressor.predict(block[:, :-1]))
        if len(rows):
            metrics[part] = sums.metrics()
    return metrics


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
