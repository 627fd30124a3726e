"""Holds the ledger of the environments against what the players were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.soak.claims import Claim, Ending
from tests.soak.ledger import Entry, first_sum, next_sum

BY_SERVER_LIFE = {"server_stopped", "session_unknown", "connection_lost"}
"""Reasons that a restart of the server explains, and nothing else."""
BY_BREAKS = {"CONNECTION_LOST", "TIMEOUT"}
"""Codes of errors with which a reset may fail while no server is there."""
REFUSALS = {"CONNECT_FAILED", "CAPACITY_REACHED", "SERVER_DRAINING"}
"""Codes of errors with which a session may be refused at any time: nothing has begun."""


@dataclass(frozen=True)
class Outage:
    """When a server was told to stop, and when the next one took connections. Monotonic seconds."""

    began_at: float
    over_at: float

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
        step_times: When the steps ran that a player had to ask for over several connections, by episode and turn.
    """

    differences: list[str] = field(default_factory=list)
    steps: int = 0
    episodes: int = 0
    instances: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    step_times: dict[tuple[str, int], float] = field(default_factory=dict)


@dataclass
class _Instance:
    pid: int
    closes: int = 0


@dataclass
class _Episode:
    began_at: float
    instance: str
    sum: str
    turns: int = 0
    resets: int = 1


class Judge:
    """Reads a ledger line by line, then the claims.

    Args:
        claims: What players know of their episodes, by episode.
        outages: When no server was there.
    """

    def __init__(self, claims: Iterable[Claim], outages: Iterable[Outage] = ()) -> None:
        self._claims = {claim.episode: claim for claim in claims}
        self._outages = list(outages)
        self._instances: dict[str, _Instance] = {}
        self._episodes: dict[str, _Episode] = {}
        self._verdict = Verdict()
        self._wanted = {(claim.episode, op.turn) for claim in self._claims.values() for op in claim.crossings}

    def judge(self, entries: Iterable[Entry]) -> Verdict:
        """Whether everything ran exactly once, in the right place, and every environment was closed once."""
        for entry in entries:
            self._take(entry)
        for name, instance in self._instances.items():
            if instance.closes != 1:
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
            self._instances[entry.instance] = _Instance(entry.pid)
            return
        instance = self._instances.get(entry.instance)
        if instance is None:
            self._wrong(f"{entry.did} by instance {entry.instance}, which was never built")
            return
        if entry.did == "close":
            instance.closes += 1
            return
        if instance.closes:
            self._wrong(f"{entry.did} of episode {entry.episode} by instance {entry.instance} after its close")
        if entry.did == "reset":
            self._reset(entry)
        else:
            self._step(entry)

    def _reset(self, entry: Entry) -> None:
        claim = self._claims.get(entry.episode)
        before = self._episodes.get(entry.episode)
        if before is not None and before.instance != entry.instance and self._may_begin_anew(claim, before, entry.at):
            before.began_at, before.instance = entry.at, entry.instance
            return
        if before is not None:
            before.resets += 1
            where = "once more" if before.instance == entry.instance else "anew on a fresh environment"
            self._wrong(f"episode {entry.episode} began {where}: reset {before.resets} of it")
            return
        self._episodes[entry.episode] = _Episode(entry.at, entry.instance, entry.sum)
        if claim is None:
            self._wrong(f"episode {entry.episode} began and nobody asked for it")
        elif entry.seed != claim.seed or entry.sum != first_sum(claim.seed):
            self._wrong(f"episode {entry.episode} began with seed {entry.seed}, not {claim.seed}")

    def _may_begin_anew(self, claim: Claim | None, first: _Episode, at: float) -> bool:
        """Whether a reset without an answer may be asked of another session: where the first one cannot be reached."""
        if claim is None or first.turns:
            return False
        return not claim.reconnects or any(one.overlaps(first.began_at, at) for one in self._outages)

    def _step(self, entry: Entry) -> None:
        self._verdict.steps += 1
        where = f"turn {entry.meant_turn} of episode {entry.meant_episode}"
        episode = self._episodes.get(entry.meant_episode)
        if entry.episode != entry.meant_episode or episode is None or episode.instance != entry.instance:
            self._wrong(
                f"{where} ran silently elsewhere: as turn {entry.turn} of episode {entry.episode or '(none)'} "
                f"by instance {entry.instance}"
            )
            return
        if entry.meant_turn <= episode.turns:
            self._wrong(f"{where} ran again, as turn {entry.turn} of the environment")
        elif entry.meant_turn > episode.turns + 1:
            self._wrong(f"{where} ran after turn {episode.turns}: what is between was lost")
        elif entry.turn != entry.meant_turn:
            self._wrong(f"{where} ran as turn {entry.turn} of the environment")
        expected = next_sum(episode.sum, entry.number)
        if entry.sum != expected:
            self._wrong(f"{where} has checksum {entry.sum}, not {expected}")
        episode.sum, episode.turns = entry.sum, max(episode.turns, entry.meant_turn)
        claim = self._claims.get(entry.meant_episode)
        if claim is not None and entry.meant_turn > claim.asked:
            self._wrong(f"{where} ran and nobody asked for it")
        if (entry.meant_episode, entry.meant_turn) in self._wanted:
            self._verdict.step_times[entry.meant_episode, entry.meant_turn] = entry.at

    def _hold(self, claim: Claim) -> None:
        for wrong in claim.wrong:
            self._wrong(f"{claim.player}, episode {claim.episode}: {wrong}")
        episode = self._episodes.get(claim.episode)
        if claim.acknowledged_reset and episode is None:
            self._wrong(f"the reset of episode {claim.episode} was acknowledged and is not in the ledger")
        if claim.acknowledged_reset and episode is not None and episode.instance != claim.instance:
            self._wrong(
                f"the reset of episode {claim.episode} was answered by instance {claim.instance} "
                f"and ran anew on a fresh environment, {episode.instance}"
            )
        turns = episode.turns if episode is not None else 0
        if turns < claim.acknowledged:
            self._wrong(
                f"episode {claim.episode} has {turns} turns in the ledger; {claim.acknowledged} were acknowledged"
            )
        if claim.ending is Ending.PLAYING:
            self._wrong(f"{claim.player} never finished episode {claim.episode}")
        if claim.ending is Ending.LOST:
            self._verdict.lost[claim.reason] += 1
            self._explain(claim, BY_SERVER_LIFE)
        if claim.ending is Ending.NOT_BEGUN and claim.reason not in REFUSALS:
            self._explain(claim, BY_SERVER_LIFE | BY_BREAKS)

    def _explain(self, claim: Claim, by_outage: set[str]) -> None:
        """A lost episode needs a cause: the player's own doing, or a server that ended."""
        if claim.reason in claim.own_doing:
            return
        overlaps = any(one.overlaps(claim.began_at, claim.ended_at) for one in self._outages)
        if claim.reason in by_outage and overlaps:
            return
        self._wrong(
            f"{claim.player} lost episode {claim.episode} after turn {claim.acknowledged} "
            f"(reason {claim.reason or 'not given'}) without a cause"
        )
