"""A regressor for tables in Python, which follows scikit-learn's protocol without needing it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.load import check_tables
from configs.load import load as load_recipe
from configs.parameters import (
    SECTIONS,
    check_sections,
    in_memory,
    nested,
    plain,
    recipe,
    with_key,
)
from errors import ExportError, NotFittedError, RunError
from files import drafted_folder, read_plain, to_json, write_atomically
from model.folder import (
    CONTRACT,
    GRAPH,
    MOST_JSON,
    MOST_WEIGHTS,
    ONNX,
    WEIGHTS,
    Export,
    find_export,
    read_export,
)
from model.predictor import Predictor
from pipeline import exported, reported, train_in_memory
from reader.arrays import Encoding, Features, Target, samples
from reader.formats import Reading
from reader.metrics import Sums
from reader.schema import Schema
from report.report import FILE, Report
from run.contents import CONFIG
from trainer.machine import as_a_guest
from trainer.progress import Progress, TqdmProgress
from trainer.settings import experiment

if TYPE_CHECKING:
    from report.assemble import Finished

FILES: Final = {CONTRACT: MOST_JSON, GRAPH: MOST_JSON, WEIGHTS: MOST_WEIGHTS, ONNX: MOST_WEIGHTS}
ROWS_AT_ONCE = 65_536
Predictions = NDArray[np.float32]
Section = Mapping[str, Any]


class Regressor:
    """A regressor of one target on the columns of a table, trained as train.py trains it.

        regressor = Regressor(model="additive", train={"epochs": 20})
        regressor.fit(X, y)
        regressor.predict(X)              # float32 [N], in the target's own unit
        regressor.report                  # as report.html; in a notebook it draws itself
        regressor.save("houses")          # an export, for infer.py and Predictor

    `model` and the other keys are those of a recipe (docs/recipe.md): each section (data, loss,
    optimizer, schedule, train, intervals, export, card) is a dictionary, or for model, loss,
    optimizer and schedule a name. One key of a section may also be given as train__epochs=20. A
    wrong key in a section is told of by `fit`. `progress`: show a bar of tqdm.

    As in train.py, a tenth of the rows picks the best epoch, and a tenth is the report's test part:
    with data={"split": {"train": 1}} all rows train. Nothing is written to disk before `save`.
    """

    def __init__(
        self,
        model: str | Section = "linear",
        *,
        data: Section | None = None,
        loss: str | Section | None = None,
        optimizer: str | Section | None = None,
        schedule: str | Section | None = None,
        train: Section | None = None,
        intervals: Section | None = None,
        export: Section | None = None,
        card: Section | None = None,
        progress: bool = False,
        **keys: Any,
    ) -> None:
        self.model = model
        self.data = data
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.train = train
        self.intervals = intervals
        self.export = export
        self.card = card
        self.progress = progress
        self.set_params(**keys)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The sections of the recipe by name; with `deep`, also each key in them that was given, as
        in train__epochs."""
        sections = self._sections()
        inside = dict(nested(sections)) if deep else {}
        return {**sections, **inside, "progress": self.progress}

    def set_params(self, **parameters: Any) -> Regressor:
        """Set sections, and keys inside them, as in train__epochs=20. Raises ConfigError for a
        section that there is not."""
        given = {name.partition("__")[0]: value for name, value in parameters.items()}
        check_sections({name: value for name, value in given.items() if name != "progress"})
        for name, value in sorted(parameters.items(), key=lambda each: each[0].count("__")):
            section, between, keys = name.partition("__")
            before = getattr(self, section)
            setattr(self, section, with_key(before, keys, value, section) if between else value)
        return self

    def _sections(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SECTIONS}

    def fit(self, X: Features, y: Target = None) -> Regressor:  # noqa: N803
        """Train on features X: a data frame of pandas, Polars or Arrow, a dictionary of columns, an
        array [N, D], or the path of a table; and the target y: an array [N], a series, or the name
        of a column of X. Returns the regressor itself.

        Raises a UserError, which is a ValueError, for what cannot be trained on.
        """
        if y is None and isinstance(self.data, Mapping):
            y = self.data.get("target")
        given = samples(X, y)
        keys = recipe(self._sections(), given.path, given.target)
        plan = experiment(check_tables(keys, None) if given.columns is None else in_memory(keys))
        options = plan.table
        if not self._may_cache():
            plan = replace(plan, table=replace(options, memory_limit=sys.maxsize))
        progress = TqdmProgress() if self.progress else Progress(quiet=True)
        run = train_in_memory(plan, given.table(options.reading), progress)
        self._take(_Trained(run, progress), given.is_named)
        return self

    def _may_cache(self) -> bool:
        """Whether the recipe says where, or from what size on, packed rows go to the disk."""
        data = self.data if isinstance(self.data, Mapping) else {}
        return "cache" in data or "memory_limit" in data

    def _take(self, model: _Trained | _Exported, is_named: bool) -> None:
        """Predict with this model from now on."""
        self._model, self._is_named = model, is_named
        self.n_features_in_ = len(model.encoding.names)
        if is_named:
            self.feature_names_in_ = np.array(model.encoding.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _fitted(self) -> _Trained | _Exported:
        """Raises NotFittedError, and where scikit-learn is loaded one that is its own, too."""
        if "_model" in vars(self):
            return self._model
        told = "This Regressor is not fitted yet; call fit(X, y), or Regressor.load(folder)"
        theirs = getattr(sys.modules.get("sklearn.exceptions"), "NotFittedError", None)
        kinds = (NotFittedError, theirs) if theirs else (NotFittedError,)
        raise type("NotFittedError", kinds, {})(told)

    def predict(self, X: Features) -> Predictions:  # noqa: N803
        """The target of each row, float32 [N]. Columns go by name where they have names, else by
        order; a data frame may have others beside them."""
        model = self._fitted()
        return model.predict_outputs(model.encoding.rows(X))[:, 0]

    def predict_interval(self, X: Features) -> Predictions:  # noqa: N803
        """Of each row the lower and the upper end of its interval, float32 [N, 2].

        Raises RunError where the regressor was trained without `intervals.coverage`.
        """
        model = self._fitted()
        if "lower" not in model.outputs:
            raise RunError(
                "no intervals: intervals.coverage was not set when this model was trained; use "
                "Regressor(intervals={'coverage': 0.9}), and fit again"
            )
        ends = [model.outputs.index(name) for name in ("lower", "upper")]
        return model.predict_outputs(model.encoding.rows(X))[:, ends]

    def score(self, X: Features, y: Target = None) -> float:  # noqa: N803
        """R2 of the predictions; NaN where the target is constant. `y`: as for `fit`; None for the
        column of X that is called as the target in training."""
        model = self._fitted()
        rows, target = model.encoding.rows_and_target(X, y)
        sums = Sums()
        sums.add(target, model.predict_outputs(rows)[:, 0])
        r2 = sums.metrics().r2
        return float("nan") if r2 is None else r2

    @property
    def report(self) -> Report:
        """All figures of the training. Raises RunError for a model loaded from an export, which
        holds none."""
        return self._fitted().report

    def save(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the model into a new folder, as train.py exports it: checked against what was
        trained. `overwrite`: in place of an export that is there.

        Raises RunError where the folder is there already, ExportError where the check fails.
        """
        model, folder = self._fitted(), Path(folder)
        if folder.exists() or folder.is_symlink():
            is_export = (folder / CONTRACT).is_file()
            if not (overwrite and is_export):
                advice = "" if overwrite else "; save(folder, overwrite=True) replaces an export"
                what = "exists" if is_export else "exists and is not an export"
                raise RunError(f"{folder}: {what}{advice if is_export else ''}")
        with drafted_folder(folder) as draft:
            _write(model.files, draft)

    @classmethod
    def load(cls, folder: str | Path, expect: str | None = None) -> Regressor:
        """The regressor of a run folder, or of an export. From a run folder it has the recipe and
        the report, too. `expect`: the SHA-256 that contract.json must have. Raises ExportError."""
        folder = Path(folder)
        export = read_export(folder, expect)
        path = find_export(folder)
        names = {CONTRACT, *export.contract["files"]}
        files = {name: read_plain(path / name, FILES[name]) for name in sorted(names)}
        model = _Exported(files, Report.read(folder) if (folder / FILE).exists() else None)
        if model.export.sha256 != export.sha256:
            raise ExportError(f"{path}: was replaced while it was read; load it again")
        loaded = cls()
        if (folder / CONFIG).exists():
            values = load_recipe(folder / CONFIG).model_dump()
            for name in ("path", "target", "cache", "memory_limit"):
                del values["data"][name]
            loaded = cls(**{name: values[name] for name in SECTIONS})
        loaded._take(model, not model.is_of_array)
        return loaded

    def __getstate__(self) -> dict[str, Any]:
        """Plain values: the parameters, and of a trained model the files of its export."""
        state: dict[str, Any] = {"parameters": plain(self.get_params(deep=False))}
        if "_model" in vars(self):
            model = self._model
            report = to_json(model.report.to_json()) if model.has_report else None
            state |= {"files": model.files, "report": report, "is_named": self._is_named}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Raises ExportError where the files are not those of a sound export."""
        for name in (*SECTIONS, "progress"):
            setattr(self, name, state["parameters"][name])
        if "files" in state:
            told = state["report"]
            report = None if told is None else Report.parse(told.encode())
            self._take(_Exported(state["files"], report), bool(state["is_named"]))

    def __repr__(self) -> str:
        given = {name: value for name, value in self._sections().items() if value is not None}
        if self.progress:
            given["progress"] = True
        return f"Regressor({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; only it calls this."""
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(string=True, categorical=True, allow_nan=True),
        )


class _Trained:
    """A model as it was trained in this process, with its rows."""

    has_report = True

    def __init__(self, run: Finished, progress: Progress) -> None:
        from trainer.publish import shorter

        seconds = progress.elapsed()
        self._run, self._progress = replace(run, elapsed=lambda: seconds), progress
        options, data = run.experiment.table, run.exported.data
        self._shorter = shorter(run.exported, options)
        self.encoding = Encoding(data.schema, options.may_be_empty, options.reading)
        self.outputs: tuple[str, ...] = tuple(run.exported.regressor.objective.outputs)

    def predict_outputs(self, rows: Predictions) -> Predictions:
        """Of raw rows [N, P], all outputs [N, outputs]."""
        starts = range(0, max(1, len(rows)), ROWS_AT_ONCE)
        return np.concatenate([self._predict(rows[at : at + ROWS_AT_ONCE]) for at in starts])

    def _predict(self, rows: Predictions) -> Predictions:
        """By the form that is exported, where this is a shorter one."""
        import paddle

        if self._shorter is None:
            return self._run.exported.predict(rows).astype(np.float32)
        with paddle.no_grad():
            return np.asarray(self._shorter(paddle.to_tensor(rows)).numpy())

    @cached_property
    def _export(self) -> tuple[Export, dict[str, bytes]]:
        with as_a_guest(), tempfile.TemporaryDirectory(prefix="model-") as private:
            export = exported(self._run, Path(private, "export"), self._progress)
            files = [
                Path(private, "export", name) for name in (CONTRACT, *export.contract["files"])
            ]
            return export, {file.name: file.read_bytes() for file in files}

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the export. Raises ExportError where it differs from what was trained."""
        return self._export[1]

    @cached_property
    def report(self) -> Report:
        with as_a_guest():
            return reported(self._run, self._export[0], self._progress)


class _Exported:
    """A model as the files of an export, which are checked. Raises ExportError."""

    def __init__(self, files: Mapping[str, bytes], report: Report | None) -> None:
        self.files = {name: bytes(files[name]) for name in FILES if name in files}
        with _standing_in(self.files) as folder:
            self.export = read_export(folder)
        contract, self._report = self.export.contract, report
        schema = Schema.read(contract["schema"])
        reading = Reading(**contract["reading"])
        self.encoding = Encoding(schema, contract["may_be_empty"], reading)
        self.outputs = tuple(contract["outputs"])

    @property
    def is_of_array(self) -> bool:
        """Whether the columns have no names but those that an array's are given."""
        names = self.encoding.names
        return names == tuple(f"x{index}" for index in range(len(names)))

    @cached_property
    def _predictor(self) -> Predictor:
        with as_a_guest():
            return Predictor(self.export)

    def predict_outputs(self, rows: Predictions) -> Predictions:
        """Of raw rows [N, P], all outputs [N, outputs]."""
        return self._predictor.predict_outputs(rows)

    @property
    def has_report(self) -> bool:
        return self._report is not None

    @property
    def report(self) -> Report:
        if self._report is None:
            raise RunError(
                "this model was loaded from an export, which holds no report; load the "
                "run folder, or fit again"
            )
        return self._report


@contextmanager
def _standing_in(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder that holds the files for a moment; messages name it as the model."""
    with tempfile.TemporaryDirectory(prefix="model-") as private:
        _write(files, Path(private))
        try:
            yield Path(private)
        except ExportError as error:
            lines = [str(line).replace(f"{private}/", "the model, ") for line in error.args]
            raise ExportError(*lines) from None


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        write_atomically(folder / name, content)
