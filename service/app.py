"""All that a server answers, as one ASGI application."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from service import open_inference, rows
from service.exchange import Endpoint, Limits, unknown_model
from service.metrics import CONTENT_TYPE
from service.models import Model

HEADERS = {"x-content-type-options": "nosniff"}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}


class Application:
    """An ASGI application that serves these models. Predictions go by a look-up of their path: to
    find a route takes Starlette as long as to predict a row."""

    def __init__(self, models: Mapping[str, Model], limits: Limits) -> None:
        infer = Endpoint("infer", open_inference.read, models, limits)
        predict = Endpoint("predict", rows.read, models, limits)
        self.others = others(models, limits, infer, predict)
        first = next(iter(models.values()))
        self.ways = {"/predict": (predict, first)}
        for name, model in models.items():
            self.ways[f"/models/{name}/predict"] = (predict, model)
            self.ways[f"/v2/models/{name}/infer"] = (infer, model)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self.ways.get(scope["path"]) if scope["method"] == "POST" else None
        if way:
            await way[0].answer(way[1], scope, receive, send)
        else:
            await self.others(scope, receive, send)


def others(
    models: Mapping[str, Model], limits: Limits, infer: Endpoint, predict: Endpoint
) -> Starlette:
    """All routes."""
    asked = Questions(models, limits)
    model = "/v2/models/{name}"
    routes: list[BaseRoute] = [
        Route(f"{model}/infer", infer),
        Route("/predict", predict),
        Route("/models/{name}/predict", predict),
        Route(f"{model}/versions/{{version}}/infer", infer),
        Route("/v2", asked.server),
        Route("/v2/health/live", asked.live),
        Route("/v2/health/ready", asked.ready),
        Route("/v2/models", asked.list_models),
        Route("/v2/repository/index", asked.index, methods=["POST"]),
    ]
    for path in (model, f"{model}/versions/{{version}}"):
        routes += [Route(path, asked.describe), Route(f"{path}/ready", asked.model_ready)]
    routes += [
        Route("/metrics", asked.metrics),
        Route("/openapi.json", asked.openapi),
        Route("/docs", asked.docs),
        Route("/", asked.page),
        Route("/models/{name}", asked.page),
        Route("/assets/{file}", asked.asset),
    ]
    errors: Mapping[Any, Any] = {404: not_found, 405: not_allowed, 500: failed}
    return Starlette(routes=routes, exception_handlers=errors)


class Questions:
    """What is not a prediction: health, descriptions, metrics and pages."""

    def __init__(self, models: Mapping[str, Model], limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.openapi_of, self.page_of = cache(self._openapi), cache(self._page)

    async def live(self, _: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, _: Request) -> Response:
        return json_response({"live": True, "ready": True})

    async def server(self, _: Request) -> Response:
        told = {"name": open_inference.SERVER, "version": open_inference.VERSION}
        return json_response({**told, "extensions": []})

    async def list_models(self, _: Request) -> Response:
        return json_response({"models": [*self.models]})

    async def index(self, _: Request) -> Response:
        """As Triton's repository extension lists models."""
        state = {"state": "READY", "reason": ""}
        return json_response(
            [{"name": each.name, "version": each.version, **state} for each in self.models.values()]
        )

    async def describe(self, request: Request) -> Response:
        model, response = self._model(request)
        return response or json_response(open_inference.metadata(model))

    async def model_ready(self, request: Request) -> Response:
        model, response = self._model(request)
        return response or json_response({"name": model.name, "ready": True})

    async def metrics(self, _: Request) -> Response:
        text = self.limits.metrics.page()
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def openapi(self, _: Request) -> Response:
        return Response(self.openapi_of(), media_type="application/json", headers=HEADERS)

    async def docs(self, request: Request) -> Response:
        from service.page import docs_page, language_of

        return html(docs_page(orjson.loads(self.openapi_of()), language_of(request)))

    async def page(self, request: Request) -> Response:
        from service.page import language_of

        model, response = self._model(request)
        root = "../" if request.path_params else "./"
        return response or html(self.page_of(model.name, language_of(request), root))

    async def asset(self, request: Request) -> Response:
        from service.page import asset

        name = request.path_params["file"]
        if name not in ASSETS:
            return json_response({"error": "no such page"}, 404)
        return Response(asset(name), media_type=ASSETS[name], headers=HEADERS)

    def _model(self, request: Request) -> tuple[Model, Response | None]:
        """The model of the path, or the first one, and the answer where there is none such."""
        first = next(iter(self.models.values()))
        name = request.path_params.get("name", first.name)
        version = request.path_params.get("version")
        model = self.models.get(name)
        if model is None or version not in (None, model.version):
            error = {"error": unknown_model(name, version, self.models)}
            return first, json_response(error, 404)
        return model, None

    def _openapi(self) -> bytes:
        from service.openapi import openapi

        return orjson.dumps(openapi(self.models, self.limits.most_body))

    def _page(self, name: str, language: str, root: str) -> str:
        from service.page import form_page

        return form_page(self.models[name], [*self.models], language, root)


def json_response(values: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(values), status, HEADERS, "application/json")


def html(text: str) -> Response:
    """A page that loads nothing from elsewhere, in no frame of others."""
    headers = {**HEADERS, "content-security-policy": CSP, "referrer-policy": "no-referrer"}
    return Response(text, headers={**headers, "vary": "accept-language"}, media_type="text/html")


async def not_found(_: Request, __: Exception) -> Response:
    return json_response({"error": "no such page; GET /docs lists those there are"}, 404)


async def not_allowed(request: Request, error: Exception) -> Response:
    response = json_response({"error": f"{request.method} is not for this page"}, 405)
    response.headers.update(getattr(error, "headers", None) or {})
    return response


async def failed(_: Request, __: Exception) -> Response:
    return json_response({"error": "internal error; the server's log says more"}, 500)
