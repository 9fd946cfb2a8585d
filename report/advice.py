"""The next step that would help a run most, told from its report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from bilingual import Text
from display import for_shell, short, visible
from report.figures import baseline, percent, times
from report.report import Report
from report.texts import named, texts

FAR = 0.01  # above the optimum, as a share of the least loss
OVERFIT, EXACT = 1.5, 100.0  # times the RMSE of the training rows, at least
STILL_FALLING = 0.03  # of the watched metric, over the last fifth of the epochs
ROWS_A_COLUMN = 10  # of training, with fewer of which a network learns noise
BETTER = 0.99  # times the line's error, at most
TUNED = ("realmlp", "tabm", "blend")
GOOD = 0.95  # R2, above which another kind of model has little to add


def advice(report: Report) -> Text | None:
    """The first step that applies, the one that matters most first; None where none does."""
    return next(_steps(report), None)


def _steps(report: Report) -> Iterator[Text]:
    text, part = texts().advice, report.last_part
    if report.warning:
        yield text.diverged
    leaks = (finding for finding in report.findings if finding.kind == "leak" and finding.key)
    if leak := next(leaks, None):
        excluded = [*report.config.get("data", {}).get("exclude", []), *leak.columns]
        options = _options(report, "excluded", **{"data.exclude": excluded})
        yield text.leak.fill(column=Text(", ".join(map(short, leak.columns))), options=options)
    if report.best_line is None:
        yield from _of_a_line(report)
    else:
        yield from _of_a_network(report)
    has_validation = "validation" in report.metrics and part == "test"
    if not report.intervals and has_validation:
        yield text.intervals.fill(
            options=_options(report, "intervals", **{"intervals.coverage": 0.9})
        )


def _of_a_line(report: Report) -> Iterator[Text]:
    text = texts().advice
    additive = _options(report, "additive", **_additive(report))
    network = {"model.name": "mlp"} | _auto(report, "optimizer.name", "optimizer.learning_rate")
    if report.optimum and (report.optimum.gap or 0.0) > FAR:
        keys = ("optimizer.learning_rate", "train.batch_size", "train.epochs")
        if auto := _auto(report, *keys):
            yield text.far.fill(options=_options(report, "auto", **auto))
    if report.trial and report.trial.rmse < BETTER * report.metrics["validation"].rmse:
        yield text.trial.fill(part=named("validation", texts().parts), options=additive)
    if _exceeds(report, EXACT):
        part = named(report.last_part, texts().parts)
        yield text.exact.fill(part=part, options=_options(report, "mlp", **network))
    yield from _overfit(report, "damped", {"optimizer.weight_decay": 0.1})
    if report.trial or not _has_rows_for_a_network(report):
        return
    if report.residuals.patterns:
        worst = report.residuals.patterns[0]
        share = percent(worst.share, 0)
        yield text.curvature.fill(column=worst.column, share=share, options=additive)
    r2 = report.metrics[report.last_part].r2
    if r2 is not None and r2 < GOOD:
        yield text.additive.fill(options=additive)


def _of_a_network(report: Report) -> Iterator[Text]:
    text, part = texts().advice, named(report.last_part, texts().parts)
    assert report.best_line is not None
    _, _, ratio = baseline(report.best_line[report.last_part])
    if ratio > 1.01 and report.config.get("model", {}).get("name") != "linear":
        options = _options(report, "linear", **{"model.name": "linear"})
        yield text.line.fill(part=part, options=options)
    elif ratio > 1.01 and _is_log(report):
        options = _options(report, "plain", **{"data.scale.target": "standard"})
        yield text.logarithm.fill(part=part, options=options)
    name = report.config.get("model", {}).get("name")
    # Their schedule ends where it is best; longer training is another schedule.
    if report.training and name not in TUNED and _still_falls(report):
        epochs = 2 * report.training.planned
        yield text.longer.fill(options=_options(report, "longer", **{"train.epochs": epochs}))
    yield from _overfit(report, "damped", _damped(report))
    if name in TUNED and not report.refit and "validation" in report.metrics:
        yield text.refit.fill(options=_options(report, "refit", **{"train.refit": True}))
    r2 = report.metrics[report.last_part].r2
    if name == "additive" and _has_rows_for_a_network(report) and r2 is not None and r2 < GOOD:
        keys = ("schedule.name", "train.batch_size", "train.epochs", "optimizer.learning_rate")
        blend = {"model.name": "blend"} | _auto(report, *keys)
        yield text.blend.fill(options=_options(report, "blend", **blend))
    larger = {} if name in TUNED else _larger(report)
    if report.residuals.patterns and larger and _has_rows_for_a_network(report):
        worst = report.residuals.patterns[0]
        yield text.underfit.fill(
            column=worst.column,
            share=percent(worst.share, 0),
            options=_options(report, "larger", **larger),
        )


def _additive(report: Report) -> dict[str, Any]:
    """An additive model, with nothing that the recipe sets for a line."""
    keys = ("optimizer.learning_rate", "schedule.name", "train.batch_size", "train.epochs")
    decays = report.training and report.training.weight_decay
    rest = {"optimizer.weight_decay": 0} if decays else {}
    return {"model.name": "additive"} | _auto(report, *keys) | rest


def _is_log(report: Report) -> bool:
    scale: Mapping[str, Any] = report.config.get("data", {}).get("scale", {})
    return scale.get("target") == "log1p"


def _overfit(report: Report, name: str, values: Mapping[str, Any]) -> Iterator[Text]:
    """What holds a model back whose training rows say too much."""
    part, train = report.last_part, report.metrics["train"].rmse
    if _exceeds(report, OVERFIT) and train and values:
        yield texts().advice.overfit.fill(
            part=named(part, texts().parts),
            times=times(report.metrics[part].rmse / train),
            options=_options(report, name, **values),
        )


def _exceeds(report: Report, times: float) -> bool:
    """Whether the last part's RMSE is surely above so many times that of the training rows."""
    part, train = report.last_part, report.metrics["train"].rmse
    least = report.confidence[part].rmse[0] if part in report.confidence else 0.0
    return part != "train" and least > times * train


def _has_rows_for_a_network(report: Report) -> bool:
    return report.metrics["train"].rows >= ROWS_A_COLUMN * len(report.data.features)


def _still_falls(report: Report) -> bool:
    """Whether training used all of its epochs while the watched metric was still falling."""
    training, part = report.training, "validation" if "validation" in report.metrics else "train"
    values = [epoch[part] for epoch in report.history if part in epoch]
    if not training or training.epochs < training.planned or len(values) < 5:
        return False
    before, least = values[-1 - len(values) // 5], min(values)
    late = report.best.epoch >= 0.95 * training.epochs
    return late and math.isfinite(before) and least < before * (1 - STILL_FALLING)


def _damped(report: Report) -> dict[str, Any]:
    """Weight decay, or where there is some, fewer hidden numbers; nothing for an additive model,
    which is as smooth as its rows ask for, and networks that are tuned to fit their rows."""
    if report.effects or report.config.get("model", {}).get("name") in TUNED:
        return {}
    if report.training and not report.training.weight_decay:
        return {"optimizer.weight_decay": 0.01}
    return {key: _sized(value, 0.5) for key, value in _widths(report).items()}


def _larger(report: Report) -> dict[str, Any]:
    return {key: _sized(value, 2) for key, value in _widths(report).items()}


def _widths(report: Report) -> dict[str, Any]:
    model = report.config.get("model", {})
    return {f"model.{key}": model[key] for key in ("hidden", "width") if key in model}


def _sized(value: Any, times: float) -> Any:
    if isinstance(value, list):
        return [max(1, int(size * times)) for size in value]
    return max(1, int(value * times))


def _auto(report: Report, *keys: str) -> dict[str, str]:
    """Those of the keys that the recipe sets itself, as `auto`."""
    return {key: "auto" for key in keys if key not in report.chosen}


def _options(report: Report, name: str, **values: Any) -> Text:
    """What to add to the command, with a run folder of its own.

    >>> from types import SimpleNamespace
    >>> _options(SimpleNamespace(config={"run": {"dir": "runs/a"}}), "mlp", **{"model.name": "mlp"})
    Text(en='-o model.name=mlp -o run.dir=runs/a-mlp', zh='')
    """
    folder = report.config.get("run", {}).get("dir", "runs/next")
    options = []
    for key, value in (values | {"run.dir": f"{folder}-{name}"}).items():
        text = value if isinstance(value, str) else visible(json.dumps(value, ensure_ascii=False))
        options.append(f"-o {for_shell(f'{key}={text}')}")
    return Text(" ".join(options))
