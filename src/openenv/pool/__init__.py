"""Many sessions of served environments, driven together."""

from openenv.pool.events import PoolEvent
from openenv.pool.metrics import PoolMetrics
from openenv.pool.pool import EnvPool
from openenv.pool.results import PoolResult, ResetResult, VectorResult
from openenv.pool.sync_pool import SyncEnvPool

__all__ = ["EnvPool", "PoolEvent", "PoolMetrics", "PoolResult", "ResetResult", "SyncEnvPool", "VectorResult"]
