"""Episodes played through ``step_batch``, several environments at a time."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

from openenv.protocol import Reset, Step
from openenv.session import EnvironmentSpec
from openenv.session.hosting.host import LocalHost
from openenv.session.hosting.placement import SpeedRecord
from openenv.session.hosting.shared_thread import SharedThread
from openenv.testing.asking import Answer, answer, answer_of

__all__ = ["batched"]


async def batched(spec: EnvironmentSpec, episodes: Mapping[int, list[bytes]]) -> dict[int, list[Answer]]:
    """Play an episode of each seed, all together.

    Args:
        spec: The environment; its class has ``step_batch``.
        episodes: By seed the actions of the episode, as JSON.

    Returns:
        By seed the answers to the reset and to each action.

    Raises:
        FactoryFailed: An environment could not be built.
    """
    thread = SharedThread(SpeedRecord(), "openenv-batching")
    hosts: dict[int, LocalHost] = {}
    try:
        for seed in episodes:
            hosts[seed] = await LocalHost.build(spec, thread.executor())
        answers = {
            seed: [await answer(host.reset(Reset(seed=seed, episode_id=f"episode-{seed}")))]
            for seed, host in hosts.items()
        }
        for number in range(max(map(len, episodes.values()))):
            steps = {s: Step(action=Raw(actions[number])) for s, actions in episodes.items() if number < len(actions)}
            found = await LocalHost.step_together([hosts[seed] for seed in steps], [*steps.values()])
            for seed, one in zip(steps, found, strict=True):
                answers[seed].append(answer_of(one))
    finally:
        for host in hosts.values():
            await host.close()
    return answers
