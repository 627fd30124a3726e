"""Holds the ledger of the environments against what the players were told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.soak.claims import Claim, Ending
from tests.soak.deaths import Death, Deaths, How, Instance
from tests.soak.ledger import Entry, first_sum, next_sum

BY_SERVER_LIFE = {"server_stopped", "session_unknown", "connection_lost"}
"""Reasons that a restart of the server explains, and nothing else."""
BY_FORGETTING = {"not_restored"}
"""Reasons that a restart of a server explains which cannot play the class again."""
AGAIN_S = 5.0
"""How long it may take to play an episode again; what does so may be killed before it has written a word."""
BY_BREAKS = {"CONNECTION_LOST", "TIMEOUT"}
"""Codes of errors with which a reset may fail while no server is there."""
REFUSALS = {"CONNECT_FAILED", "CAPACITY_REACHED", "SERVER_DRAINING"}
"""Codes of errors with which a session may be refused at any time: nothing has begun."""


@dataclass(frozen=True)
class Outage:
    """When a server was told to stop or killed, and when the next one took connections. Monotonic seconds.

    Attributes:
        restores: Whether the next one was to go on with the sessions of this one.
    """

    began_at: float
    over_at: float
    restores: bool = False

    def overlaps(self, began_at: float, ended_at: float) -> bool:
        """Whether some of that time falls into it."""
        return self.began_at <= ended_at and began_at <= self.over_at


@dataclass
class Verdict:
    """What is wrong, and what was counted on the way.

    Attributes:
        differences: One line for each thing that must not be; empty if all is well.
        steps, episodes, instances: What the environments did, by their own account.
        lost: Episodes that were lost, by reason.
        restored: Environments that were replaced by another one in the same place, and whose players saw it, by what
            they died of; and how long the request took that was answered first, from its death or when it was asked,
            whichever was later. Seconds.
        step_times: When the steps ran that a player had to ask for over several connections, by episode and turn.
    """

    differences: list[str] = field(default_factory=list)
    steps: int = 0
    episodes: int = 0
    instances: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    restored: dict[How, list[float]] = field(default_factory=dict)
    step_times: dict[tuple[str, int], float] = field(default_factory=dict)


@dataclass
class _Life:
    """What one environment did of an episode.

    Attributes:
        sums: Checksums after the reset and after each turn.
        ended_by: What it died of, once another one has its place.
    """

    instance: str
    began_at: float
    mood: str
    sums: list[str]
    ended_by: Death | None = None

    @property
    def turns(self) -> int:
        return len(self.sums) - 1


@dataclass
class _Episode:
    """All that was done of an episode; more than one life only where it was played again after a death."""

    lives: list[_Life]
    resets: int = 1

    @property
    def life(self) -> _Life:
        return self.lives[-1]

    @property
    def sums(self) -> list[str]:
        """The longest chain of checksums that was reached."""
        return max((life.sums for life in self.lives), key=len)


class Judge:
    """Reads a ledger line by line, then the claims.

    Args:
        claims: What players know of their episodes, by episode.
        outages: When no server was there.
        deaths: What was done to processes of environments.
    """

    def __init__(self, claims: Iterable[Claim], outages: Iterable[Outage] = (), deaths: Iterable[Death] = ()) -> None:
        self._claims = {claim.episode: claim for claim in claims}
        self._outages = list(outages)
        self._deaths = Deaths(deaths, self._claims)
        self._instances: dict[str, Instance] = {}
        self._episodes: dict[str, _Episode] = {}
        self._verdict = Verdict()
        self._wanted = {(claim.episode, op.turn) for claim in self._claims.values() for op in claim.crossings}

    def judge(self, entries: Iterable[Entry]) -> Verdict:
        """Whether everything ran exactly once, in the right place, and every environment was closed once."""
        for entry in entries:
            self._take(entry)
        for name, instance in self._instances.items():
            if instance.closes > 1 or (instance.closes == 0 and self._deaths.of(instance, math.inf) is None):
                self._wrong(f"instance {name} of process {instance.pid} was closed {instance.closes} times")
        for claim in self._claims.values():
            self._hold(claim)
        self._verdict.instances = len(self._instances)
        self._verdict.episodes = len(self._episodes)
        return self._verdict

    def _wrong(self, text: str) -> None:
        self._verdict.differences.append(text)

    def _take(self, entry: Entry) -> None:
        if entry.did == "create":
            if entry.instance in self._instances:
                self._wrong(f"instance {entry.instance} was built twice")
            self._instances[entry.instance] = Instance(entry.pid, entry.at)
            return
        instance = self._instances.get(entry.instance)
        if instance is None:
            self._wrong(f"{entry.did} by instance {entry.instance}, which was never built")
            return
        if entry.did == "close":
            instance.closes, instance.closed_at = instance.closes + 1, entry.at
            return
        if instance.closes:
            self._wrong(f"{entry.did} of episode {entry.episode} by instance {entry.instance} after its close")
        if instance.died_at:
            self._wrong(f"{entry.did} of episode {entry.episode} by instance {entry.instance} after its death")
        if entry.did == "die":
            instance.died_at = entry.at
        elif entry.did == "reset":
            instance.episode = entry.episode
            self._reset(entry)
        else:
            self._step(entry)

    def _reset(self, entry: Entry) -> None:
        claim = self._claims.get(entry.episode)
        before = self._episodes.get(entry.episode)
        life = _Life(entry.instance, entry.at, entry.mood, [entry.sum])
        if claim is not None and (entry.seed != claim.seed or entry.sum != first_sum(claim.seed)):
            self._wrong(f"episode {entry.episode} began with seed {entry.seed}, not {claim.seed}")
        if before is None:
            self._episodes[entry.episode] = _Episode([life])
            if claim is None:
                self._wrong(f"episode {entry.episode} began and nobody asked for it")
        elif before.life.instance != entry.instance and self._is_replay(claim, before, life):
            before.lives.append(life)
        elif before.life.instance != entry.instance and self._may_begin_anew(claim, before, entry.at):
            before.lives[-1] = life
        else:
            before.resets += 1
            where = "once more" if before.life.instance == entry.instance else "anew on a fresh environment"
            self._wrong(f"episode {entry.episode} began {where}: reset {before.resets} of it")

    def _is_replay(self, claim: Claim | None, episode: _Episode, life: _Life) -> bool:
        """Whether an environment that died may have been replaced by this one, which has to do all of it again."""
        last = self._instances[episode.life.instance]
        if claim is None or not claim.restorable:
            return False
        if any(one.instance == life.instance for one in episode.lives):
            return False
        episode.life.ended_by = self._deaths.of(last, life.began_at)
        return episode.life.ended_by is not None

    def _may_begin_anew(self, claim: Claim | None, first: _Episode, at: float) -> bool:
        """Whether a reset without an answer may be asked of another session: where the first one cannot be reached."""
        if claim is None or first.life.turns:
            return False
        return not claim.reconnects or any(one.overlaps(first.life.began_at, at) for one in self._outages)

    def _step(self, entry: Entry) -> None:
        self._verdict.steps += 1
        where = f"turn {entry.meant_turn} of episode {entry.meant_episode}"
        episode = self._episodes.get(entry.meant_episode)
        if entry.episode != entry.meant_episode or episode is None or episode.life.instance != entry.instance:
            self._wrong(
                f"{where} ran silently elsewhere: as turn {entry.turn} of episode {entry.episode or '(none)'} "
                f"by instance {entry.instance}"
            )
            return
        life, known = episode.life, episode.sums
        if entry.meant_turn <= life.turns:
            self._wrong(f"{where} ran again, as turn {entry.turn} of the environment")
        elif entry.meant_turn > life.turns + 1:
            self._wrong(f"{where} ran after turn {life.turns}: what is between was lost")
        elif entry.turn != entry.meant_turn:
            self._wrong(f"{where} ran as turn {entry.turn} of the environment")
        expected = next_sum(life.sums[-1], entry.number)
        if entry.sum != expected:
            self._wrong(f"{where} has checksum {entry.sum}, not {expected}")
        if entry.meant_turn < len(known) and life.sums is not known and entry.sum != known[entry.meant_turn]:
            self._wrong(f"{where} went another way when it was played again")
        if entry.meant_turn > life.turns:
            life.sums.append(entry.sum)
        claim = self._claims.get(entry.meant_episode)
        if claim is not None and entry.meant_turn > claim.asked:
            self._wrong(f"{where} ran and nobody asked for it")
        if (entry.meant_episode, entry.meant_turn) in self._wanted:
            self._verdict.step_times.setdefault((entry.meant_episode, entry.meant_turn), entry.at)

    def _hold(self, claim: Claim) -> None:
        for wrong in claim.wrong:
            self._wrong(f"{claim.player}, episode {claim.episode}: {wrong}")
        episode = self._episodes.get(claim.episode)
        if claim.acknowledged_reset and episode is None:
            self._wrong(f"the reset of episode {claim.episode} was acknowledged and is not in the ledger")
        if claim.acknowledged_reset and episode is not None:
            self._hold_answers(claim, episode)
        if claim.ending is Ending.PLAYING:
            self._wrong(f"{claim.player} never finished episode {claim.episode}")
        if claim.ending is Ending.LOST:
            self._verdict.lost[claim.reason] += 1
            self._explain(claim, BY_SERVER_LIFE)
        if claim.ending is Ending.NOT_BEGUN and claim.reason not in REFUSALS:
            self._explain(claim, BY_SERVER_LIFE | BY_BREAKS)

    def _hold_answers(self, claim: Claim, episode: _Episode) -> None:
        """Everything that was answered is in the ledger of those who answered, in the order in which they lived."""
        order = [life.instance for life in episode.lives]
        seen = [move.left for move in claim.moves] + [claim.instance]
        places = [order.index(one) if one in order else -1 for one in seen]
        if -1 in places or places != sorted(places):
            lived = ", ".join(order)
            self._wrong(
                f"the reset of episode {claim.episode} was answered by instance {seen[0]} and ran anew on a fresh "
                f"environment, {order[-1]}: {', '.join(seen)} answered, and {lived} played it"
            )
            return
        turns = max(life.turns for life in episode.lives[places[-1] :])
        if turns < claim.acknowledged:
            self._wrong(
                f"episode {claim.episode} has {turns} turns in the ledger; {claim.acknowledged} were acknowledged"
            )
        last = episode.life
        if self._instances[last.instance].closes and last.mood == claim.mood and last.turns < claim.acknowledged:
            self._wrong(
                f"episode {claim.episode} was played again up to turn {last.turns}; "
                f"{claim.acknowledged} were acknowledged"
            )
        for move, found in zip(claim.moves, places[1:], strict=True):
            ended_by = episode.lives[found - 1].ended_by
            assert ended_by is not None  # else no other one would have been let live
            cost = move.asked.ended_at - max(move.asked.began_at, ended_by.at)
            self._verdict.restored.setdefault(ended_by.how, []).append(cost)

    def _explain(self, claim: Claim, by_outage: set[str]) -> None:
        """A lost episode needs a cause: the player's own doing, a server that ended, or what its process died of."""
        if claim.reason in claim.own_doing:
            return
        episode = self._episodes.get(claim.episode)
        lives = [] if episode is None else episode.lives
        if claim.reason == "worker_died":
            explained = self._died_for_good(claim, lives)
        elif claim.reason == "timeout":  # the time of its request ran out while there was no server
            explained = any(one.overlaps(claim.asked_at, claim.ended_at) for one in self._outages)
        elif claim.reason == "FACTORY_ERROR":  # killed while its environment was built
            explained = self._deaths.within(claim.asked_at, claim.ended_at) > 0
        elif claim.reason == "diverged":
            explained = len({life.mood for life in lives}) > 1
        else:
            outages = [one for one in self._outages if one.overlaps(claim.began_at, claim.ended_at)]
            dies_again = claim.reason in BY_FORGETTING and self._dies_again(claim)
            explained = claim.reason in by_outage | BY_FORGETTING and any(
                dies_again or claim.shared or not (one.restores and claim.restorable) for one in outages
            )
        if not explained:
            self._wrong(
                f"{claim.player} lost episode {claim.episode} after turn {claim.acknowledged} "
                f"(reason {claim.reason or 'not given'}, asked at {claim.asked_at:.2f} and told at "
                f"{claim.ended_at:.2f}) without a cause"
            )

    def _died_for_good(self, claim: Claim, lives: list[_Life]) -> bool:
        """Whether it could not be brought back: it cannot be played again, or what played it again died too."""
        deaths = sum(self._deaths.of(self._instances[life.instance], claim.ended_at) is not None for life in lives)
        if not claim.restorable:
            return deaths > 0
        return deaths > 1 or self._dies_again(claim)

    def _dies_again(self, claim: Claim) -> bool:
        """Whether so much was killed just before it was lost that what was to bring it back may have died too."""
        return self._deaths.within(claim.ended_at - AGAIN_S, claim.ended_at) > 1
