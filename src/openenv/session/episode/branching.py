"""A session that begins where another one stands."""

from __future__ import annotations

import time
from dataclasses import dataclass

from msgspec import structs

from openenv.errors import NotRestorable, OpenEnvError
from openenv.protocol import Observed
from openenv.session.episode.departed import Ending, lost
from openenv.session.episode.episode import Episode
from openenv.session.episode.history import Diverged, History, Move
from openenv.session.episode.lifecycle import Phase
from openenv.session.episode.tally import Tally
from openenv.session.isolation import WorkerDied

__all__ = ["Branch", "branch_of", "follow"]


@dataclass
class Branch:
    """What brings another environment to where one stands, and what is known of the episode there."""

    history: History
    phase: Phase
    tally: Tally


async def branch_of(episode: Episode) -> Branch:
    """What brings another environment to where this one stands.

    Raises:
        NotRestorable: Its class neither is deterministic nor takes snapshots.
    """
    tally = episode.tally.branched()
    if episode.phase is Phase.FRESH:
        return Branch(History(), episode.phase, tally)
    if episode.plan.snapshots:
        history = History()
        history.rebase(await episode.snapshot())
        return Branch(history, episode.phase, tally)
    if not episode.history.is_whole:
        raise NotRestorable(
            f"an episode of {episode.plan.name} cannot be branched: set deterministic = True if the same seed and "
            "actions always give the same answers, or write snapshot() and restore()"
        )
    return Branch(episode.history.copy(), episode.phase, tally)


async def follow(episode: Episode, branch: Branch) -> None:
    """Bring the environment of an episode, which is fresh, to where the branch was made.

    Raises:
        EpisodeLost: Played again, the episode went another way.
    """
    if branch.history.snapshot is not None:  # the journal cannot tell how it came to stand there
        episode.chronicle = None

    async def tell_again(move: Move, answer: Observed | OpenEnvError) -> None:
        if episode.chronicle is not None:
            await episode.chronicle.moved(structs.replace(move, id=0), answer, key="", began=time.time())

    try:
        await branch.history.play(episode.host, tell_again)
    except (Diverged, WorkerDied) as error:
        raise lost(Ending.DIVERGED, str(error)) from error
    episode.stand(branch.history, branch.phase, branch.tally)
