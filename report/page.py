"""The report of a run as one HTML page, for a reader without a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from report.charts import STYLE as CHART_STYLE
from report.charts import bars, curve, histogram, scatter

MOST_ROWS = 40
PARTS = {"train": "训练", "validation": "验证", "test": "测试"}
NOT_STATED = "not stated in the recipe (card.{}) · 未填写"
STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --panel: #f3f4f1; --text: #1c2127;
  --muted: #5a636e; --rule: #dfe2e0; --first: #1d5f9e; --second: #c25512; --third: #4b7d2b; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --panel: #1d2125;
  --text: #e5e7ea; --muted: #9aa4af; --rule: #2e343a; --first: #6aaced; --second: #f09a5e;
  --third: #93c572; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper);
  color: var(--text); font: 16px/1.55 system-ui, "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", sans-serif; overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
h1 { margin: .1rem 0 .4rem; font-size: clamp(1.9rem, 6vw, 2.7rem); line-height: 1.15;
  letter-spacing: -.015em; }
h2 { margin: 3rem 0 .9rem; padding-top: .8rem; border-top: 1px solid var(--rule);
  font-size: 1.2rem; line-height: 1.3; }
h2 span, th span, dt span { color: var(--muted); font-weight: 400; }
figure { margin: 0; }
h3, figcaption { margin: 0 0 .4rem; font-size: .9rem; font-weight: 600;
  text-align: left; }
p { margin: .5rem 0; max-width: 44rem; }
.note { color: var(--muted); font-size: .9rem; }
.note span { display: block; }
.figures { display: grid; gap: 1px; margin: 1.6rem 0 0; border: 1px solid var(--rule);
  border-radius: 8px; overflow: hidden; background: var(--rule);
  grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
.figures div { padding: .8rem 1rem; background: var(--panel); }
.figures dd { margin: 0; font-size: 1.55rem; font-weight: 600; line-height: 1.25; }
.figures dt, .figures small { color: var(--muted); font-size: .82rem; }
.figures small { display: block; font-weight: 400; }
.grid { display: grid; gap: 1.5rem 2.5rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); align-items: start; }
.grid > * { min-width: 0; margin: 0; }
.one { max-width: 40rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th, td { padding: .38rem 1.1rem .38rem 0; border-bottom: 1px solid var(--rule);
  text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td { max-width: 22rem; min-width: 3rem; }
th { vertical-align: bottom; font-weight: 600; white-space: nowrap; }
th span { display: block; font-size: .82rem; }
.number { text-align: right; white-space: nowrap; }
td small { display: block; color: var(--muted); font-size: .8rem; }
.facts { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .4rem 1.5rem;
  margin: .8rem 0; font-size: .93rem; }
.facts dd { margin: 0; white-space: pre-line; }
@media (max-width: 34rem) { body { padding-top: 1.5rem; }
  .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: .7rem; }
  th, td { padding-right: .8rem; } }
@media print { body { max-width: none; padding: 0; } figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; } }
""".strip()


class Markup(str):
    """Text that is HTML already."""


def page(report: Mapping[str, Any]) -> str:
    """report.json for people: a whole document that asks nothing of a network."""
    sections = [
        _headline,
        _metrics,
        _card,
        _curves,
        _predictions,
        _residuals,
        _categories,
        _coefficients,
        _importance,
        _intervals,
        _worst,
        _data,
        _chosen,
        _proofs,
        _environment,
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(report['data']['target'])} · training report</title>",
            f"<style>\n{STYLE}\n{CHART_STYLE.strip()}\n</style>\n</head>\n<body>\n<main>",
            *filter(None, (section(report) for section in sections)),
            "</main>",
            "<footer>",
            _note("All figures, unrounded: report.json.", "未经舍入的全部数字见 report.json。"),
            "</footer>\n</body>\n</html>\n",
        ]
    )


def _headline(report: Mapping[str, Any]) -> str:
    data, model, metrics = report["data"], report["model"], report["metrics"]
    part = "test" if "test" in metrics else list(metrics)[-1]
    errors, known = metrics[part], report.get("confidence", {}).get(part, {})
    figures = [
        (f"{name} on {part} · {PARTS.get(part, part)}", _number(errors[key]), _range(known, key))
        for name, key in (("RMSE", "rmse"), ("MAE", "mae"), ("R²", "r2"))
    ]
    if line := report.get("best_line", {}).get(part):
        share = line["improvement"]
        side = ("above", "高于") if share < 0 else ("below", "低于")
        best = f"MSE {side[0]} the best straight line's · {side[1]}最佳直线"
        figures.append((best, _percent(abs(share)), ""))
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{value}{_small(more)}</dd></div>"
        for name, value, more in figures
    )
    count, size = len(data["features"]), model["parameters"]
    return (
        f'<header>\n<p class="note">Training report · <span lang="zh" style="display:inline">'
        f"训练报告</span></p>\n<h1>{escape(data['target'])}</h1>\n"
        f"<p>predicted from {count:,} column{'s' * (count != 1)} of "
        f"<b>{escape(data['path'])}</b> by a model <b>{escape(model['name'])}</b> of {size:,} "
        f'parameter{"s" * (size != 1)}</p>\n<dl class="figures">{tiles}</dl>\n</header>'
    )


def _metrics(report: Mapping[str, Any]) -> str:
    known, lines = report.get("confidence", {}), report.get("best_line", {})
    head = [("part", "部分"), ("rows", "行数"), ("RMSE", ""), ("MAE", ""), ("R²", ""), ("MSE", "")]
    if lines:
        head += [("best line's MSE", "最佳直线"), ("model is below it by", "模型低于其")]
    rows = []
    for part, errors in report["metrics"].items():
        row = [_part(part), errors["rows"]]
        for key in ("rmse", "mae", "r2", "mse"):
            interval = _range(known.get(part, {}), key)
            row.append(Markup(_number(errors[key]) + _small(interval)))
        if lines:
            line = lines.get(part, {"mse": None, "improvement": None})
            row += [line["mse"], Markup(_percent(line["improvement"]))]
        rows.append(row)
    notes = []
    if known:
        notes.append(
            _note("In small print: 95 % bootstrap intervals.", "小字为 95 % 自助法置信区间。")
        )
    if "folds" in report:
        count, rmse = report["folds"]["count"], report["folds"]["rmse"]
        mean, deviation = _number(rmse["mean"]), _number(rmse["deviation"])
        notes.append(
            _note(
                f"Over {count} folds: RMSE {mean}, standard deviation {deviation}.",
                f"{count} 折交叉验证：RMSE {mean}，标准差 {deviation}。",
            )
        )
    return _section("Errors", "误差", _table(head, rows), *notes)


def _card(report: Mapping[str, Any]) -> str:
    if "card" not in report:
        return ""
    names = {
        "intended_use": ("Intended use", "用途"),
        "data": ("Data", "数据"),
        "known_bias": ("Known bias", "已知偏差"),
    }
    texts = {key: report["card"].get(key) or NOT_STATED.format(key) for key in names}
    facts = [(*names[key], text) for key, text in texts.items()]
    return _section("Model card", "模型卡片", _facts(facts))


def _curves(report: Mapping[str, Any]) -> str:
    notes, line = [], None
    if "best" in report:
        best = f"{report['best']['epoch']:,}", _number(report["best"]["value"])
        notes.append(
            _note(f"Best epoch: {best[0]}, MSE {best[1]}.", f"最佳轮次：{best[0]}，MSE {best[1]}。")
        )
    if "optimum" in report:
        optimum = report["optimum"]
        line = None if optimum["gap"] is None else optimum["train_mse"]
        notes += _distance(optimum)
    series = {
        part: [(e["epoch"], e[part]) for e in report.get("history", []) if e.get(part) is not None]
        for part in PARTS
    }
    figure = ""
    if any(series.values()):
        chart = curve(series, line, title="MSE by epoch, and the optimum of the training rows")
        figure = _figure("MSE by epoch", "各轮次的 MSE", chart, "one")
    return _section("Learning curves", "学习曲线", figure, *notes)


def _distance(optimum: Mapping[str, Any]) -> list[str]:
    """What the exact solution is, how far from it training ended, and when it came near."""
    best, gap = _number(optimum["train_mse"]), optimum["gap"]
    english, chinese = "exact least squares", "精确最小二乘"
    if (decay := optimum.get("weight_decay")) is not None:
        english, chinese = f"{english}, weight decay {decay:g}", f"{chinese}，权重衰减 {decay:g}"
    if gap is None:
        far = "the fit is exact", "拟合精确"
    else:
        side = ("below", "低") if gap < 0 else ("above", "高")
        share = _percent(abs(gap), 2)
        far = f"this run is {share} {side[0]} it", f"本次训练比它{side[1]} {share}"
    notes = [
        _note(
            f"Optimum: MSE {best} on train ({english}); {far[0]}.",
            f"最优解：训练 MSE {best}（{chinese}）；{far[1]}。",
        )
    ]
    if epochs := optimum.get("epochs"):
        reached = [(name, "–" if at is None else f"{at:,}") for name, at in epochs.items()]
        notes.append(
            _note(
                "Epochs to come within: " + ", ".join(f"{n} – {at}" for n, at in reached) + ".",
                "达到该差距所需轮次（– 为未达到）。",
            )
        )
    return notes


def _predictions(report: Mapping[str, Any]) -> str:
    if not (examples := report.get("examples")):
        return ""
    part, actual, predicted = examples["part"], examples["actual"], examples["predicted"]
    away = [p - a for p, a in zip(predicted, actual, strict=True)]
    target = report["data"]["target"]
    against = scatter(
        actual,
        predicted,
        diagonal=True,
        title=f"Predicted against actual {target}, {part}",
        names=("actual · 实际", "predicted · 预测"),
    )
    over = scatter(
        predicted,
        away,
        title=f"Residual over predicted {target}, {part}",
        names=("predicted · 预测", "predicted − actual · 残差"),
    )
    figures = [
        _figure("Predicted against actual", "预测与实际", against),
        _figure("Residual over prediction", "残差与预测", over),
    ]
    note = _note(
        f"{len(actual):,} rows of {part}. On the dashed lines a prediction is exact.",
        f"{PARTS.get(part, part)}部分 {len(actual):,} 行。虚线上的预测完全准确。",
    )
    return _section("Predicted against actual", "预测与实际", _grid(figures), note)


def _residuals(report: Mapping[str, Any]) -> str:
    if not (residuals := report.get("residuals")):
        return ""
    part = residuals["part"]
    chart = histogram(
        residuals["counts"],
        residuals["edges"],
        title=f"Distribution of predicted minus actual, {part}",
        names=("predicted − actual · 残差", "rows · 行数"),
    )
    caption = f"Predicted − actual on {part}", f"{PARTS.get(part, part)}部分的残差"
    return _section("Residuals", "残差", _figure(*caption, chart, "one"))


def _categories(report: Mapping[str, Any]) -> str:
    columns = report.get("residuals", {}).get("by_category")
    if not columns:
        return ""
    head = [("level", "取值"), ("rows", "行数"), ("mean residual", "平均残差"), ("RMSE", "")]
    tables = []
    for name, levels in list(columns.items())[:MOST_ROWS]:
        rows = [
            [
                "(missing · 缺失)" if x["level"] is None else x["level"],
                x["rows"],
                x["mean"],
                x["rmse"],
            ]
            for x in levels
        ]
        tables.append(f"<div><h3>{escape(name)}</h3>{_table(head, rows)}</div>")
    return _section("Residuals by category", "分类残差", _grid(tables), _more(len(columns)))


def _coefficients(report: Mapping[str, Any]) -> str:
    if not (found := report.get("coefficients")):
        return ""
    weights = found["weights"]
    known = any(weight["standard_error"] is not None for weight in weights)
    head = [("column", "列"), ("coefficient", "系数")]
    rows: list[list[Any]] = [["(intercept · 截距)", found["intercept"]]]
    rows += [[weight["name"], weight["weight"]] for weight in weights]
    if known:
        head += [("standard error", "标准误"), ("coefficient ÷ error", "系数 ÷ 标准误")]
        rows[0] += [None, None]
        for row, weight in zip(rows[1:], weights, strict=True):
            error = weight["standard_error"]
            row += [error, weight["weight"] / error if error else None]
    note = _note(
        "In the table's own units: the change of the target for one more of the column.",
        "以表格原单位计：该列增加一个单位时目标的变化。",
    )
    return _section("Coefficients", "系数", _table(head, rows), note)


def _importance(report: Mapping[str, Any]) -> str:
    if not (found := report.get("importance")):
        return ""
    columns = sorted(found["columns"], key=lambda column: -column["mse_increase"])
    rows = [[column["name"], column["mse_increase"], column["deviation"]] for column in columns]
    names, rises, deviations = zip(*rows[:MOST_ROWS], strict=True) if rows else ((), (), ())
    chart = bars(names, rises, deviations, title="Rise of the MSE by shuffled column", axis="MSE +")
    head = [("column", "列"), ("rise of MSE", "MSE 增量"), ("deviation", "标准差")]
    part, count = found["part"], f"{found['rows']:,}"
    note = _note(
        f"How much the MSE rises when one column is shuffled: {count} rows of {part}.",
        f"打乱一列后 MSE 的增量：{PARTS.get(part, part)}部分 {count} 行。",
    )
    figure = _figure("Rise of the MSE", "MSE 增量", chart)
    return _section(
        "Importance of columns", "列的重要性", _grid([figure, _table(head, rows)]), note
    )


def _intervals(report: Mapping[str, Any]) -> str:
    if not (found := report.get("intervals")):
        return ""
    facts = [
        ("Promised coverage", "标称覆盖率", _percent(found["coverage"])),
        (
            f"Measured on {found['part']}",
            "实测覆盖率",
            f"{_percent(found['measured'])} ({found['rows']:,} rows · 行)",
        ),
        ("Mean width", "平均宽度", found["mean_width"]),
        ("Rows for calibration", "校准行数", found["calibration_rows"]),
    ]
    return _section("Prediction intervals", "预测区间", _facts(facts))


def _worst(report: Mapping[str, Any]) -> str:
    if not (found := report.get("worst")):
        return ""
    ids = list(dict.fromkeys(name for row in found["rows"] for name in row["ids"]))
    head = [("row", "行"), *((name, "") for name in ids)]
    head += [("actual", "实际"), ("predicted", "预测"), ("error", "误差")]
    rows = [
        [
            row["row"],
            *(str(row["ids"].get(name, "")) for name in ids),
            *(float(row[key]) for key in ("actual", "predicted", "error")),
        ]
        for row in found["rows"]
    ]
    note = _note(
        f"The rows of {found['part']} with the largest errors.",
        f"{PARTS.get(found['part'], found['part'])}部分误差最大的行。",
    )
    return _section("Worst rows", "误差最大的行", note, _table(head, rows))


def _data(report: Mapping[str, Any]) -> str:
    data = report["data"]
    names = data["features"]
    more = f", and {len(names) - MOST_ROWS:,} more in report.json" * (len(names) > MOST_ROWS)
    facts: list[tuple[str, str, Any]] = [
        ("Table", "表格", data["path"]),
        ("Rows", "行数", data["rows"]),
        ("SHA-256", "", data["sha256"]),
        ("Target", "目标", data["target"]),
        (f"{len(names):,} features", "特征", ", ".join(names[:MOST_ROWS]) + more),
    ]
    if split := report.get("split"):
        sizes = ", ".join(f"{split[p]:,} {p} · {PARTS[p]}" for p in PARTS if p in split)
        facts += [
            ("Split", "划分", f"{split['method']}, seed · 种子 {split['seed']}"),
            ("Rows of each part", "各部分行数", sizes),
        ]
    return _section("Data and split", "数据与划分", _facts(facts))


def _chosen(report: Mapping[str, Any]) -> str:
    head = [("key", "键"), ("value", "取值"), ("why", "原因")]
    chosen = report.get("chosen", {}).items()
    rows = [[key, str(choice["value"]), choice["why"]] for key, choice in chosen]
    return _section("Chosen by auto", "自动选择", _table(head, rows)) if rows else ""


def _proofs(report: Mapping[str, Any]) -> str:
    if not (parity := report.get("parity")):
        return ""
    apart, most = parity["max_abs_difference"], parity["tolerance"]
    verdict = "holds · 通过" if apart <= most else "fails · 未通过"
    facts = [
        ("Exported model = trained model", "导出与训练一致", verdict),
        ("Largest difference", "最大差异", f"{apart:.1e} ({parity['rows']:,} rows · 行)"),
        ("Tolerance", "容差", f"{most:.1e}"),
    ]
    return _section("Proofs", "验证", _facts(facts))


def _environment(report: Mapping[str, Any]) -> str:
    facts: list[tuple[str, str, Any]] = []
    if timing := report.get("timing"):
        facts += [
            ("Time", "用时", f"{timing['total_s']:,.1f} s"),
            ("In the training loop", "训练循环", f"{timing['train_s']:,.2f} s"),
            ("Speed", "速度", f"{timing['rows_per_second']:,.0f} rows/s · 行/秒"),
        ]
    chinese = {"platform": "平台", "processor": "处理器", "cores": "核数", "device": "设备"}
    for key in ("environment", "versions"):
        for name, value in report.get(key, {}).items():
            facts.append((name, chinese.get(name, ""), value))
    return _section("Time and environment", "用时与环境", _facts(facts) if facts else "")


def _section(english: str, chinese: str, *body: str) -> str:
    """A section under a heading in both languages; nothing if it would be empty."""
    if not (inside := "\n".join(filter(None, body))):
        return ""
    heading = f"{escape(english)} · <span lang='zh'>{escape(chinese)}</span>"
    return f"<section>\n<h2>{heading}</h2>\n{inside}\n</section>"


def _table(head: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> str:
    """A table that scrolls by itself; numbers stand right, and past MOST_ROWS are only counted."""
    first = rows[0] if rows else [""] * len(head)
    titles = "".join(
        f"<th{_side(cell)}>{escape(english)}{_second(chinese)}</th>"
        for (english, chinese), cell in zip(head, first, strict=True)
    )
    lines = [
        "<tr>" + "".join(f"<td{_side(cell)}>{_text(cell)}</td>" for cell in row) + "</tr>"
        for row in rows[:MOST_ROWS]
    ]
    body = "\n".join([f"<thead><tr>{titles}</tr></thead>", "<tbody>", *lines, "</tbody>"])
    return f'<div class="scroll" tabindex="0"><table>{body}</table></div>{_more(len(rows))}'


def _more(count: int) -> str:
    if count <= MOST_ROWS:
        return ""
    rest = f"{count - MOST_ROWS:,}"
    return _note(f"And {rest} more, all in report.json.", f"其余 {rest} 项见 report.json。")


def _facts(facts: Sequence[tuple[str, str, Any]]) -> str:
    lines = [
        f"<dt>{escape(english)}{f' · {_second(chinese)}' if chinese else ''}</dt>"
        f"<dd>{_text(value)}</dd>"
        for english, chinese, value in facts
    ]
    return '<dl class="facts">\n' + "\n".join(lines) + "\n</dl>"


def _figure(english: str, chinese: str, chart: str, kind: str = "") -> str:
    caption = f"{escape(english)} · <span lang='zh'>{escape(chinese)}</span>"
    return f'<figure class="{kind}"><figcaption>{caption}</figcaption>{chart}</figure>'


def _grid(items: Sequence[str]) -> str:
    return f'<div class="grid">{"".join(items)}</div>'


def _note(english: str, chinese: str) -> str:
    return f'<p class="note">{escape(english)}{_second(chinese)}</p>'


def _second(chinese: str) -> str:
    return f'<span lang="zh">{escape(chinese)}</span>' if chinese else ""


def _small(text: str) -> str:
    return f"<small>{text}</small>" if text else ""


def _part(part: str) -> str:
    return f"{part} · {PARTS[part]}" if part in PARTS else part


def _side(cell: Any) -> str:
    return "" if type(cell) is str else ' class="number"'


def _text(value: Any) -> str:
    if isinstance(value, Markup):
        return value
    return escape(value) if isinstance(value, str) else _number(value)


def _number(value: float | None) -> str:
    """Four significant digits, all of a whole number; a dash for what is not a number."""
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or value == 0:
        text = f"{value:,.0f}"
    elif 1e-4 <= abs(value) < 1e9:
        text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    else:
        text = f"{value:.3e}"
    return text.replace("-", "−")


def _percent(share: float | None, digits: int = 1) -> str:
    if share is None or not math.isfinite(share):
        return "–"
    return f"{share:.{digits}%}".replace("%", " %").replace("-", "−")


def _range(known: Mapping[str, Any], key: str) -> str:
    """A confidence interval as text; nothing if it is not known."""
    return " – ".join(map(_number, known[key])) if known.get(key) else ""
