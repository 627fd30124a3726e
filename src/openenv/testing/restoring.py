"""An environment restored from a snapshot, and what it answers beside the one it was taken of."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Raw

from openenv.errors import OpenEnvError
from openenv.protocol import Reset, Step
from openenv.session import EnvironmentSpec
from openenv.session.hosting.executors import executor_for
from openenv.session.hosting.host import LocalHost
from openenv.session.hosting.placement import SpeedRecord
from openenv.testing.asking import Answer, answer

__all__ = ["Restoring", "restoring"]


@dataclass(frozen=True)
class Restoring:
    """What was seen.

    Attributes:
        failed: Why no snapshot could be taken, or why it could not be restored.
        original: What followed the snapshot in the environment that it was taken of.
        restored: What followed the same actions in the one that was restored from it.
    """

    failed: str | None
    original: list[Answer]
    restored: list[Answer]


async def restoring(spec: EnvironmentSpec, seed: int, actions: list[bytes]) -> Restoring:
    """Take a snapshot in the middle of an episode, go on, and go on alike in another instance, one after the other.

    Args:
        spec: The environment; its plan is known.
        seed: Seed of the episode.
        actions: The actions of the episode as JSON, 1 or more.
    """
    middle = len(actions) // 2
    host = await _built(spec)
    try:
        await answer(host.reset(Reset(seed=seed, episode_id=f"episode-{seed}")))
        for action in actions[:middle]:
            await _take(host, action)
        try:
            snapshot = await host.snapshot()
        except OpenEnvError as error:
            return Restoring(f"snapshot raised {error.message}", [], [])
        original = [await _take(host, action) for action in actions[middle:]]
    finally:
        await host.close()
    host = await _built(spec)
    try:
        await host.restore(snapshot)
        restored = [await _take(host, action) for action in actions[middle:]]
    except OpenEnvError as error:
        return Restoring(f"restore raised {error.message}", original, [])
    finally:
        await host.close()
    return Restoring(None, original, restored)


async def _built(spec: EnvironmentSpec) -> LocalHost:
    is_async = spec.plan is not None and spec.plan.is_async
    return await LocalHost.build(spec, executor_for(SpeedRecord(), is_async=is_async, name="openenv-restoring"))


async def _take(host: LocalHost, action: bytes) -> Answer:
    return await answer(host.step(Step(action=Raw(action))))
