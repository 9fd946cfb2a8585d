"""The pages of a server: a form that predicts as one types, and the list of what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from display import short
from service.models import Model
from service.typical import fields

if TYPE_CHECKING:
    from starlette.requests import Request

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
LANGUAGES = ("en", "zh")
FEW_CHOICES = 60  # that a list holds; more are typed, with suggestions
MOST_CHOICES = 500  # that are suggested
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it


def form_page(model: Model, names: Sequence[str], language: str, root: str) -> str:
    """The form of a model. `root`: what leads from the page to that of the server."""
    return (
        _environment()
        .get_template("page.html")
        .render(
            model=model,
            names=names,
            fields=fields(model),
            text=texts(language),
            language=language,
            root=root,
            few=FEW_CHOICES,
            most=MOST_CHOICES,
        )
    )


def docs_page(openapi: Mapping[str, Any], language: str) -> str:
    """What the server answers, from its description in OpenAPI."""
    template = _environment().get_template("docs.html")
    return template.render(openapi=openapi, text=texts(language), language=language)


def language_of(request: Request) -> str:
    """What `?lang=` says, or else the first language of the browser that there is."""
    asked = request.query_params.get("lang", "")
    if asked in LANGUAGES:
        return asked
    weights: dict[str, float] = {}
    for part in request.headers.get("accept-language", "")[:1_000].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weights.setdefault(tag.strip().lower()[:2], float(weight or 1))
        except ValueError:
            continue
    known = [language for language in LANGUAGES if weights.get(language, 0) > 0]
    return max(known, key=lambda language: weights[language], default="en")


@cache
def asset(name: str) -> bytes:
    """A style sheet or a script."""
    return (TEMPLATES / name).read_bytes()


@cache
def texts(language: str) -> SimpleNamespace:
    """Every text in a language, by name."""
    text = (HERE / "texts.yaml").read_text(encoding="utf-8")
    both = yaml.load(text, LOADER)  # noqa: S506, it is a safe one
    return SimpleNamespace(**{key: told[LANGUAGES.index(language)] for key, told in both.items()})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": short, "shown": shown, "range_end": range_end}
    environment.filters |= {"as_json": as_json}
    return environment


def shown(value: Any) -> str:
    """A value as a field has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def range_end(value: Any, kind: str) -> str:
    """An end of a range of training: of times its day."""
    return shown(value)[:10] if kind in ("date", "moment") else shown(value)


def as_json(value: Any) -> str:
    """An example as people write it."""
    return json.dumps(value, ensure_ascii=False, indent=1)
