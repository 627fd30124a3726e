"""JSON Schemas of actions and observations, and random samples from them."""

from openenv.schema.generate import json_schema
from openenv.schema.sample import sample

__all__ = ["json_schema", "sample"]
