"""A trainer as a process of its own: it opens a session, lets an agent play it, and tells what came of it as JSON.

It writes one line when the agent may begin, and one when a line on its input says that the agent has ended.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openenv import GenericEnvClient


def tell(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def main(url: str, token: str, seed: str) -> None:
    with GenericEnvClient(url, token=token).sync() as client:
        client.reset(seed=int(seed))
        access = client.agent_access()
        before = client.outcome()
        tell(mcp_url=access.mcp_url, token=access.token, config=access.client_config(), steps=before.steps)
        sys.stdin.readline()
        after = client.outcome()
        tell(
            steps=after.steps,
            reward=after.reward,
            total_reward=after.total_reward,
            done=after.done,
            terminated=after.terminated,
            phase=after.phase,
            episode_id=after.episode_id,
            step_count=client.state()["step_count"],
        )


if __name__ == "__main__":
    main(*sys.argv[1:4])
