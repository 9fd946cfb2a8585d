"""What the server answers, as OpenAPI 3.1, made from the contracts of its models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.models import Model
from service.open_inference import DATATYPES, VERSION, metadata
from service.typical import typical_row

JSON_TYPES = {"numeric": "number", "boolean": "boolean", "categorical": "string", "time": "string"}
TITLE = "Regression models"
DESCRIPTION = (
    "Predictions of exported models: rows by name as JSON or CSV, or tensors by the Open Inference "
    "Protocol, version 2."
)


def openapi(models: Mapping[str, Model], most_body: int) -> dict[str, Any]:
    """The description of a server of these models."""
    first = next(iter(models.values()))
    paths: dict[str, Any] = {"/predict": {"post": _predict(first, most_body)}}
    for name, model in models.items():
        paths[f"/models/{name}/predict"] = {"post": _predict(model, most_body)}
    for name, model in models.items():
        base = f"/v2/models/{name}"
        paths[base] = {"get": _get(f"Describe {name}: its inputs and outputs", metadata(model))}
        ready = {"name": name, "ready": True}
        paths[f"{base}/ready"] = {"get": _get(f"Whether {name} is ready", ready)}
        paths[f"{base}/infer"] = {"post": _infer(model, most_body)}
    paths |= {
        "/v2": {
            "get": _get("Describe the server", {"name": "paddle-regressor", "version": VERSION})
        },
        "/v2/health/live": {"get": _get("Whether the server is alive", {"live": True})},
        "/v2/health/ready": {"get": _get("Whether all models are ready", {"ready": True})},
        "/v2/models": {"get": _get("List the models", {"models": [*models]})},
        "/metrics": {"get": _text("Figures for Prometheus, added up over all workers")},
    }
    schemas = {f"{name}.row": _row(model) for name, model in models.items()}
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": first.version, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": {**schemas, "error": error}},
    }


def _row(model: Model) -> dict[str, Any]:
    """The schema of one row by name."""
    properties: dict[str, Any] = {}
    for column in model.columns:
        kind = JSON_TYPES[column.kind]
        may_be_null = model.may_be_empty or column.kind == "categorical"
        properties[column.name] = {"type": [kind, "null"] if may_be_null else kind}
    required = [column.name for column in model.columns]
    return {"type": "object", "properties": properties, "required": required}


def _predict(model: Model, most_body: int) -> dict[str, Any]:
    row = typical_row(model)
    schema = {"type": "array", "items": {"$ref": f"#/components/schemas/{model.name}.row"}}
    header = ",".join(map(_csv_cell, row))
    line = ",".join(_csv_cell("" if value is None else value) for value in row.values())
    answer = {
        "model": model.name,
        "version": model.version,
        "predictions": [dict.fromkeys(model.outputs, 0.0)],
        "warnings": [],
    }
    return {
        "summary": f"Predict {model.schema.target} of rows by name, with {model.name}. Rows, one "
        "row or columns, as JSON, or a table as CSV; the answer has the same form, or the one that "
        "Accept asks for.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema, "example": [row]},
                "text/csv": {"schema": {"type": "string"}, "example": f"{header}\n{line}\n"},
            },
        },
        "responses": _responses(answer, most_body),
    }


def _infer(model: Model, most_body: int) -> dict[str, Any]:
    kinds = {column.name: DATATYPES[column.kind] for column in model.columns}
    inputs = [
        {"name": name, "shape": [1], "datatype": kinds[name], "data": [value]}
        for name, value in typical_row(model).items()
    ]
    outputs = [
        {"name": name, "datatype": "FP32", "shape": [1], "data": [0.0]} for name in model.outputs
    ]
    answer = {"model_name": model.name, "model_version": model.version, "outputs": outputs}
    content = {"schema": {"type": "object"}, "example": {"inputs": inputs}}
    return {
        "summary": f"Infer with {model.name}: a tensor a column, or one tensor, features, of shape "
        f"[rows, {len(model.features)}] with encoded features",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": _responses(answer, most_body),
    }


def _responses(example: Any, most_body: int) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}
    return {
        "200": {
            "description": "predictions",
            "content": {"application/json": {"example": example}},
        },
        "400": {"description": "a wrong cell, column or body", "content": error},
        "413": {"description": f"a body above {most_body:,} bytes", "content": error},
        "415": {"description": "a packed body", "content": error},
    }


def _get(summary: str, example: Any) -> dict[str, Any]:
    content = {"application/json": {"example": example}}
    return {"summary": summary, "responses": {"200": {"description": "yes", "content": content}}}


def _text(summary: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": "text", "content": content}}}


def _csv_cell(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if set(text) & set(',"\n\r') else text
