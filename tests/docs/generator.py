"""The generator of reference pages, which is a script and in no package."""

from __future__ import annotations

import functools
import importlib.util
import sys
from types import ModuleType

from tests.docs.snippets import ROOT

__all__ = ["load_generator"]


@functools.cache
def load_generator() -> ModuleType:
    """``scripts/docs.py`` as a module."""
    spec = importlib.util.spec_from_file_location("docs_generator", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there for their annotations
    spec.loader.exec_module(module)
    return module
