"""Environments that answer with arrays: one file, the same on both sides, in the names that both know.

The existing implementation has no form for an array and refuses it: its users answer with ``tolist()``. So each array
comes in two forms: ``pixels`` and ``floats`` as they are, ``pixels_as_lists`` and ``floats_as_lists`` as nested lists.
``pixels_in_json`` and ``floats_in_json`` do not let clients choose msgpack.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State

SEED = 7
draw = np.random.default_rng(SEED)
PIXELS = draw.integers(0, 256, (4, 84, 84, 4), dtype=np.uint8)
FLOATS = draw.standard_normal((4, 512, 512), dtype=np.float32)


class Look(Action):
    """The same action as that of the echo."""

    message: str = ""


class View(Observation):
    """What is seen."""

    frame: Any = None


class Camera(Environment[Look, View, State]):
    """Shows one of four arrays that were drawn beforehand, so that what is measured is their way to the client."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, frames: np.ndarray, as_lists: bool) -> None:
        super().__init__()
        self._frames, self._as_lists, self._count = frames, as_lists, 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> View:
        """Begin without a frame."""
        self._count = 0
        return View(done=False, reward=0.0)

    def step(self, action: Look, timeout_s: float | None = None, **options: Any) -> View:
        """The next frame."""
        self._count += 1
        frame = self._frames[self._count % len(self._frames)]
        return View(frame=frame.tolist() if self._as_lists else frame, done=False, reward=1.0)

    @property
    def state(self) -> State:
        """How many frames."""
        return State(step_count=self._count)


def showing(frames: np.ndarray, as_lists: bool) -> Callable[[], Camera]:
    """What makes such environments."""

    class Showing(Camera):
        def __init__(self) -> None:
            super().__init__(frames, as_lists)

    return Showing


def in_json(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The same application for clients that speak JSON."""

    async def served(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            scope = {**scope, "subprotocols": [one for one in scope["subprotocols"] if one.endswith("json")]}
        await app(scope, receive, send)

    return served


pixels = create_app(showing(PIXELS, False), Look, View, env_name="pixels", max_concurrent_envs=8)
floats = create_app(showing(FLOATS, False), Look, View, env_name="floats", max_concurrent_envs=8)
pixels_as_lists = create_app(showing(PIXELS, True), Look, View, env_name="pixels", max_concurrent_envs=8)
floats_as_lists = create_app(showing(FLOATS, True), Look, View, env_name="floats", max_concurrent_envs=8)
pixels_in_json, floats_in_json = in_json(pixels), in_json(floats)
