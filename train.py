"""Train a regressor on a table, export it, and prove that the export is the trained one.

python train.py -c configs/boston.yaml -o train.epochs=100
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from configs.load import describe_keys, differences, dump, load
from configs.schema import Config
from errors import DivergedError, RunError, UserError
from model.predictor import resolve_device
from reader.findings import findings, overview
from reader.metrics import Metrics
from reader.split import evenly
from reader.training_data import Source, TrainingData
from run.checkpoint import Checkpoints
from run.compare import against_previous
from run.folder import CONFIG, RunFolder, to_json
from run.page import page
from run.report import announce, epoch_line, summary, versions
from run.signals import Signals, Stopped
from trainer.auto import GAP, settle
from trainer.evidence import evaluate, evidence, folded, results, unusual_rows
from trainer.intervals import calibrate, measure
from trainer.keeper import Keeper, Progress
from trainer.machine import share_machine
from trainer.recipe import (
    best_line,
    build,
    check_parts,
    fold,
    gap,
    is_line,
    read_table,
    reading_of,
    ready_of,
    study_rows,
)
from trainer.resume_check import resumes_exactly

if TYPE_CHECKING:  # Importing Paddle takes longer than finding most errors: it is done late.
    import paddle
    from paddle import nn
    from paddle.optimizer import Optimizer

    from model.average import Average
    from model.optimizer import Schedule
    from model.regressor import Regressor
    from reader.dataset import Block, TableDataset
    from run.curves import Curves
    from run.optimum import Optimum

MAY_CHANGE = ("train.device", "data.cache", "data.memory_limit", "checkpoint", "card", "run.dir")


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    device = [f"train.device={options.device}"] if options.device else []
    overwrite = options.overwrite or options.check or options.verify_resume
    with Signals() as signals:
        try:
            config = load(options.config, [*options.override, *device])
            RunFolder.check(config.run.dir, overwrite, options.resume)
            if options.verify_resume:
                return 0 if resumes_exactly(Path(__file__), arguments) else 1
            train(config, options, signals)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
            return 2
        except Stopped as stopped:
            print(
                f"stopped by {stopped}; a run that had begun goes on with --resume", file=sys.stderr
            )
            return 128 + stopped.number
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
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--overwrite", action="store_true", help="replace the run in run.dir")
    begin.add_argument(
        "--resume", action="store_true", help="go on with the run in run.dir, to the bit"
    )
    begin.add_argument(
        "--check", action="store_true", help="show what the table holds, and stop before training"
    )
    begin.add_argument(
        "--verify-resume",
        action="store_true",
        help="in a temporary folder, kill a run and resume it; exit code 0 if it ends the same",
    )
    if {"-h", "--help"} & set(arguments):
        parser.epilog = "keys of a recipe:\n\n" + describe_keys()
    return parser.parse_args(arguments)


def train(recipe: Config, options: argparse.Namespace, signals: Signals) -> None:
    """One run, from the table to the report; nothing is written before the table has been read."""
    started = time.perf_counter()
    share_machine()
    if options.resume and agrees(recipe).is_done:
        print(f"{recipe.run.dir}: this run is done already")
        return
    source = read_table(recipe.data)
    data = study_rows(recipe.data, source, source.parts)
    check_parts(recipe, data.parts)
    print(announce(recipe.data.path, overview(data), data.parts._asdict()))
    if options.check:
        print(*findings(data), sep="\n")
        return
    config, chosen = settle(recipe, data)
    for key, (value, why) in chosen.items():
        print(f"auto        {key}={value} ({why})")
    if constant := data.statistics.constant:
        print(f"warning: constant in the training rows: {', '.join(constant)}", flush=True)

    import paddle

    from run.curves import Curves

    paddle.disable_static()  # in this thread, if another one has imported it
    paddle.disable_signal_handler()  # its own ends the process at once, with nothing saved
    signals.install()
    paddle.set_device(resolve_device(config.train.device))
    regressor = build(config, data)
    folder = RunFolder(config.run.dir, options.overwrite, options.resume)
    try:
        if not (folder.path / CONFIG).exists():
            folder.write(CONFIG, dump(recipe))
        folder.write("schema.json", to_json(data.schema.describe()))
        folds = cross_validate(recipe, source, folder.path / "folds", signals)
        with Curves(folder.path / "curves") as curves:
            fitted = (config, data, regressor, folder.path / "checkpoints", curves, signals)
            progress, known = fit(*fitted, until_optimum="train.epochs" in chosen)
            left = data.parts._replace(**dict.fromkeys(known, data.parts.test[:0]))
            metrics = known | evaluate(regressor, ready_of(config, data), data, left)
            show(curves, regressor, data, metrics)
        report = folded(results(config, data, metrics, progress), folds)
        report |= evidence(config, source, data, regressor, metrics["train"].mse)
        report |= finish(config, data, regressor, folder.path / "export")
        report["chosen"] = {key: choice._asdict() for key, choice in chosen.items()}
        report["timing"]["total_s"] = time.perf_counter() - started
        folder.write("report.json", to_json(report))
        folder.write("report.html", page(report))
        folder.done()
        print(*(f"{part:<11} {found}" for part, found in metrics.items()), sep="\n")
        print(*against_previous(folder.path), summary(report, folder.path), sep="\n")
    finally:
        folder.close()


def agrees(config: Config) -> RunFolder:
    """The folder of the run to go on with. Raises RunError where its recipe is another one."""
    folder = RunFolder(config.run.dir, overwrite=False, resume=True)
    folder.close()
    if (folder.path / CONFIG).exists():
        other = differences(load(folder.path / CONFIG), config, MAY_CHANGE)
        if other:
            raise RunError(
                f"{folder.path}: a resumed run keeps its recipe, but\n  "
                + "\n  ".join(other)
                + "\nleave these as they were, or choose another run.dir"
            )
    return folder


def cross_validate(recipe: Config, source: Source, folder: Path, signals: Signals) -> list[Metrics]:
    """The metrics of each fold of the training rows, by a regressor that has not seen it."""
    from run.curves import Curves

    split, found = recipe.data.split, []
    parts = source.folds(split.folds, split.method, split.seed) if split.folds else ()
    for number, part in enumerate(parts, start=1):
        data = study_rows(recipe.data, source, part)
        config, chosen = settle(recipe, data)
        regressor = build(config, data)
        path = folder / str(number)
        with Curves(path / "curves") as curves:
            fitted = (config, data, regressor, path / "checkpoints", curves, signals)
            fit(*fitted, until_optimum="train.epochs" in chosen)
        found.append(evaluate(regressor, ready_of(config, data), data, part)["test"])
        print(f"fold {number}/{split.folds}  {found[-1]}", flush=True)
    return found


class Plan(NamedTuple):
    """The rows in their order, what moves the weights, and how fast; the least-squares line, where
    the model is one."""

    dataset: TableDataset
    optimizer: Optimizer
    schedule: Schedule
    average: Average | None
    line: Optimum | None


def fit(
    config: Config,
    data: TrainingData,
    regressor: Regressor,
    folder: Path,
    curves: Curves,
    signals: Signals,
    until_optimum: bool,
) -> tuple[Progress, dict[str, Metrics]]:
    """Train epoch by epoch, from where the last checkpoint in `folder` stands; leaves the weights
    to be exported in the regressor, and gives their metrics where the last epoch is theirs."""
    options, network = config.train, regressor.network
    seen = data.parts._replace(test=data.parts.test[:0])
    plan, ready = make_plan(config, data, regressor), ready_of(config, data)
    metrics: dict[str, Metrics] = {}
    checkpoints = Checkpoints(folder, **config.checkpoint.model_dump())
    kept = (network, plan.optimizer, plan.average)
    keeper = Keeper(checkpoints, *kept, curves, signals, data.packed.sha256)
    progress = keeper.restore()
    if not progress.step:
        curves.recipe(config.model_dump(), dump(config))
    epochs, rate = int(options.epochs), float(config.optimizer.learning_rate)
    bar = tqdm(total=epochs * plan.dataset.steps, initial=progress.step, leave=False, disable=None)
    with bar, signals.held():
        while progress.epoch < epochs and not progress.ends(options.patience):
            train_epoch(config, network, plan, progress, curves, keeper, bar)
            metrics = evaluate(regressor, ready, data, seen)
            watched = finite(list(metrics.values())[-1].mse, progress.epoch + 1, rate)
            speed = len(seen.train) / progress.epoch_seconds
            progress.end_epoch({part: found.mse for part, found in metrics.items()})
            keeper.compare(progress, watched)
            described = {part: found.describe() for part, found in metrics.items()}
            curves.whole_epoch(progress.epoch, described, speed, network, epochs)
            if plan.line:
                curves.optimum(progress.epoch, plan.line.mse)
                progress.done = until_optimum and gap(config, data, network, plan.line) <= GAP
            rmse = {part: found.rmse for part, found in metrics.items()}
            if text := epoch_line(progress.epoch, epochs, rmse):
                bar.write(text)
            if reason := progress.ends(options.patience):
                bar.write(reason)
            keeper.keep(progress)
        keeper.keep(progress, end=True)
    keeper.choose(options.export)
    is_last = options.export == "last" or progress.best_epoch == progress.epoch
    return progress, metrics if is_last else {}


def make_plan(config: Config, data: TrainingData, regressor: Regressor) -> Plan:
    """What the recipe asks for, made for these rows and this network."""
    from model.average import Average
    from model.optimizer import build_optimizer, build_schedule
    from reader.dataset import TableDataset

    options, rows, network = config.train, data.parts.train, regressor.network
    width = len(data.encoding.names) + len(data.encoding.embedded)
    dataset = TableDataset(
        data.packed, rows, int(options.batch_size), options.seed, ready_of(config, data), width
    )
    optimizer = build_optimizer(network=network, **config.optimizer.model_dump())
    schedule = build_schedule(
        learning_rate=float(config.optimizer.learning_rate),
        steps_per_epoch=dataset.steps,
        epochs=int(options.epochs),
        **config.schedule.model_dump(),
    )
    average = Average(network) if options.average else None
    line = best_line(config, data) if is_line(config, data) else None
    return Plan(dataset, optimizer, schedule, average, line)


def train_epoch(
    config: Config,
    network: nn.Layer,
    plan: Plan,
    progress: Progress,
    curves: Curves,
    keeper: Keeper,
    bar: tqdm[Any],
) -> None:
    """What is left of the epoch, block by block; a checkpoint may be written between two blocks."""
    epoch, dataset, log_every = progress.epoch + 1, plan.dataset, int(config.train.log_every)
    dataset.set_epoch(epoch, progress.block)
    clock = time.perf_counter()
    for index, block in dataset.blocks():
        first = progress.step
        for loss in train_block(block, index, network, plan, progress):
            if progress.step % log_every == 0:
                value = finite(float(loss), epoch, float(config.optimizer.learning_rate))
                curves.step(progress.step, value, plan.optimizer.get_lr())
            progress.step += 1
        bar.update(progress.step - first)
        progress.block = index + 1
        if plan.average and progress.block == dataset.blocks_per_epoch:
            plan.average.settle(dataset.steps)
        progress.spent(time.perf_counter() - clock)
        if progress.block < dataset.blocks_per_epoch:
            keeper.keep(progress)
        clock = time.perf_counter()


def train_block(
    block: Block, index: int, network: nn.Layer, plan: Plan, progress: Progress
) -> Iterator[paddle.Tensor]:
    """The mini-batches of block `index` of the epoch; yields the loss of each.

    The loss is the mean squared error on the scaled target, so that a learning rate does not
    depend on the target's unit.
    """
    import paddle
    import paddle.nn.functional as F

    dataset, optimizer, schedule, average, _ = plan
    network.train()
    features, target = block
    # The loss of [n, 1] and [n] would be that of all n^2 pairs.
    assert network(features[:1]).shape == target[:1].shape, (features.shape, target.shape)
    paddle.seed(dataset.block_seed(index))  # dropout's; a resumed run draws the same
    rate = None
    for x, y in dataset.batches(block):
        if rate != (rate := schedule(progress.step)):
            optimizer.set_lr(rate)
        loss = F.mse_loss(network(x), y)
        optimizer.clear_grad(set_to_zero=False)
        loss.backward()
        optimizer.step()
        if average:
            average.add()
        yield loss


def finish(
    config: Config, data: TrainingData, regressor: Regressor, folder: Path
) -> dict[str, Any]:
    """Calibrate intervals where they are asked for, export, and prove the export."""
    from model.export import export

    coverage = config.intervals.coverage
    if coverage:
        regressor.margin = calibrate(regressor, data, coverage)
    intervals = {"intervals": measure(regressor, data, coverage)} if coverage else {}
    extent = data.statistics.maximum[-1] - data.statistics.minimum[-1]
    may_be_empty, ready = config.data.missing.numeric != "error", ready_of(config, data)
    some = data.parts.train[evenly(len(data.parts.train), 10_000)]
    parity = export(
        regressor,
        folder,
        contract=data.contract(reading_of(config.data), may_be_empty) | {"versions": versions()},
        rows=data.packed.take(some)[:, :-1],
        target_range=extent,
        unusual=unusual_rows(data, may_be_empty),
        folded=fold(config, data, regressor),
        trained=lambda rows: regressor.predict_ready(ready.features(rows)),
    )
    parameters = sum(p.size for p in regressor.network.parameters())
    model = {"name": config.model.name, "parameters": int(parameters)}
    return {**intervals, "model": model, "parity": parity, "versions": versions()}


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
    """The value itself. Raises DivergedError where it is NaN or infinite."""
    if math.isfinite(value):
        return value
    raise DivergedError(
        f"the loss is {value} in epoch {epoch}: training diverged; try a smaller step, "
        f"-o optimizer.learning_rate={learning_rate / 10:g}, or another data.scale"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
