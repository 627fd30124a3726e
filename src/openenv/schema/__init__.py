"""JSON Schemas of actions and observations, random samples from them, and whether a value fits one."""

from openenv.schema.fits import misfit
from openenv.schema.generate import json_schema
from openenv.schema.sample import sample

__all__ = ["json_schema", "misfit", "sample"]
