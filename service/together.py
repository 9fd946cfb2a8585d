"""Single rows of requests that come at the same moment, predicted together."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np

from reader.one_row import Encoded
from service.models import Answer, Model

MOST = 64  # rows, up to which a run of Paddle takes hardly longer than for one


class Together:
    """The rows of all requests that the event loop has read before it waits for more: to run a
    graph takes about as long for some of them as for one."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._waiting: list[tuple[Encoded, asyncio.Future[Answer]]] = []
        self._seen = 0  # how many waited when it was last looked

    def predict(self, encoded: Encoded) -> asyncio.Future[Answer]:
        """The answer for one row [1, D], soon."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._run)
        self._waiting.append((encoded, answer))
        return answer

    def _run(self) -> None:
        if self._seen < len(self._waiting) < MOST:  # as long as the event loop reads more of them
            self._seen = len(self._waiting)
            asyncio.get_running_loop().call_soon(self._run)
            return
        self._seen = 0
        waiting, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        try:
            answers = self._answers([encoded for encoded, _ in waiting])
        except Exception as error:  # each of them is told
            for _, answer in waiting:
                _settle(answer, partial(answer.set_exception, error))
            return
        for (_, answer), found in zip(waiting, answers, strict=True):
            _settle(answer, partial(answer.set_result, found))

    def _answers(self, several: list[Encoded]) -> list[Answer]:
        if len(several) == 1:
            return [self.model.predict(several[0])]
        rows = np.concatenate([encoded.rows for encoded in several])
        outputs, outside = self.model.predictor.predict_outputs(rows), self.model.outside(rows)
        return [
            self.model.told(encoded, outputs[at : at + 1], outside[at : at + 1])
            for at, encoded in enumerate(several)
        ]


def _settle(answer: asyncio.Future[Answer], settle: partial[None]) -> None:
    """Whoever asked may be gone."""
    if not answer.done():
        settle()
