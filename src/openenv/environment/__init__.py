"""What an author subclasses, and what its class tells about itself."""

from openenv.environment.base import Environment, Isolation, Lifecycle
from openenv.environment.manifest import Manifest, find_manifest, read_manifest
from openenv.environment.plan import EnvironmentPlan, KeywordFilter
from openenv.environment.transform import ComposedTransform, Transform

__all__ = [
    "ComposedTransform",
    "Environment",
    "EnvironmentPlan",
    "Isolation",
    "KeywordFilter",
    "Lifecycle",
    "Manifest",
    "Transform",
    "find_manifest",
    "read_manifest",
]
