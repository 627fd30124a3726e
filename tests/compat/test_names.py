"""Every import path, name and signature that existing environments are promised."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import openenv
from openenv import errors

SRC = Path(openenv.__file__).resolve().parents[1]

# Names each path has; a name means the same object everywhere.
PATHS = {
    "openenv.core": [
        "Action", "CallToolAction", "CallToolObservation", "EnvClient", "Environment", "EnvironmentMetadata",
        "GenericAction", "GenericEnvClient", "ListToolsAction", "ListToolsObservation", "MCPClientBase",
        "MCPEnvironment", "MCPToolClient", "Observation", "OpenEnvError", "State", "StepResult", "SyncEnvClient",
        "Tool", "ToolError", "ToolErrorType", "Transform", "create_app", "create_fastapi_app",
    ],
    "openenv.core.client_types": ["StepResult", "ObsT", "StateT"],
    "openenv.core.env_client": ["EnvClient", "StepResult", "ActT", "ObsT", "StateT"],
    "openenv.core.generic_client": ["GenericAction", "GenericEnvClient"],
    "openenv.core.sync_client": ["SyncEnvClient"],
    "openenv.core.mcp_client": [
        "CallToolAction", "CallToolObservation", "GenericMCPObservation", "ListToolsAction", "ListToolsObservation",
        "MCPClientBase", "MCPToolClient", "Tool", "ToolError",
    ],
    "openenv.core.env_server": [
        "Action", "CallToolAction", "CallToolObservation", "Environment", "EnvironmentMetadata", "ListToolsAction",
        "ListToolsObservation", "MCPEnvironment", "Observation", "State", "Tool", "ToolError", "ToolErrorType",
        "Transform", "create_app", "create_fastapi_app",
    ],
    "openenv.core.env_server.mcp_environment": ["MCPEnvironment", "get_server_tools"],
    "openenv.core.env_server.mcp_types": [
        "CallToolAction", "CallToolObservation", "JsonRpcError", "JsonRpcErrorCode", "JsonRpcRequest",
        "JsonRpcResponse", "ListToolsAction", "ListToolsObservation", "McpMethod", "RESERVED_TOOL_NAMES", "Tool",
        "ToolError", "ToolErrorType", "WSMCPMessage", "WSMCPResponse",
    ],
    "openenv.core.env_server.types": ["Action", "EnvironmentMetadata", "Observation", "State"],
    "openenv.core.env_server.interfaces": [
        "ActT", "Action", "Environment", "EnvironmentMetadata", "ObsT", "Observation", "State", "StateT", "Transform",
    ],
    "openenv.core.env_server.http_server": ["create_app", "create_fastapi_app"],
}  # fmt: skip

# Parameters in their order, with their defaults; what comes after them is new and by keyword alone.
SIGNATURES: dict[str, list[Any]] = {
    "create_app": ["env", "action_cls", "observation_cls", ("env_name", None), ("max_concurrent_envs", None)],
    "create_fastapi_app": ["env", "action_cls", "observation_cls", ("max_concurrent_envs", None)],
    "StepResult": ["observation", ("reward", None), ("done", False), ("metadata", None)],
    "Environment": [("transform", None)],
    "Environment.reset": ["self", ("seed", None), ("episode_id", None), "**kwargs"],
    "Environment.step": ["self", "action", ("timeout_s", None), "**kwargs"],
    "Environment.reset_async": ["self", ("seed", None), ("episode_id", None), "**kwargs"],
    "Environment.step_async": ["self", "action", ("timeout_s", None), "**kwargs"],
    "Environment.close": ["self"],
    "Environment.get_metadata": ["self"],
    "EnvClient": [
        ("base_url", None), ("connect_timeout_s", 10.0), "message_timeout_s", ("max_message_size_mb", 100.0),
        ("websocket_ping_interval_s", 20.0), ("websocket_ping_timeout_s", 20.0), ("provider", None), ("mode", None),
        ("headers", None),
    ],
    "MCPToolClient": [
        "base_url", ("connect_timeout_s", 10.0), "message_timeout_s", ("websocket_ping_interval_s", 20.0),
        ("websocket_ping_timeout_s", 20.0), ("provider", None), ("mode", None), ("max_message_size_mb", 100.0),
        ("headers", None),
    ],
    "MCPToolClient.list_tools": ["self", ("use_cache", True)],
    "MCPToolClient.get_tool": ["self", "name"],
    "MCPToolClient.has_tool": ["self", "name"],
    "EnvClient._step_payload": ["self", "action"],
    "EnvClient._parse_result": ["self", "payload"],
    "EnvClient._parse_state": ["self", "payload"],
    "EnvClient.connect": ["self"],
    "EnvClient.disconnect": ["self"],
    "EnvClient.close": ["self"],
    "EnvClient.state": ["self"],
    "EnvClient.sync": ["self"],
}  # fmt: skip


@pytest.mark.parametrize(("path", "names"), PATHS.items())
def test_a_path_has_its_names(path: str, names: list[str]) -> None:
    module = importlib.import_module(path)
    core = importlib.import_module("openenv.core")
    assert set(names) == set(module.__all__)
    for name in names:
        assert getattr(module, name) is getattr(core, name, getattr(module, name))


@pytest.mark.parametrize("path", ["openenv.core", "openenv.core.env_server"])
def test_a_name_that_is_not_there_is_an_attribute_error(path: str) -> None:
    module = importlib.import_module(path)
    with pytest.raises(AttributeError, match=rf"module '{path}' has no attribute 'Nothing'"):
        _ = module.Nothing
    assert set(dir(module)) == set(module.__all__)


@pytest.mark.parametrize(("name", "expected"), SIGNATURES.items())
def test_a_signature_is_kept(name: str, expected: list[Any]) -> None:
    target: Any = importlib.import_module("openenv.core")
    for part in name.split("."):
        target = getattr(target, part)
    found = list(inspect.signature(target).parameters.values())
    for number, one in enumerate(expected):
        parameter = found[number]
        wanted, *default = one if isinstance(one, tuple) else (one,)
        if wanted.startswith("**"):
            assert parameter.kind is parameter.VAR_KEYWORD
            continue
        assert parameter.name == wanted
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if default:
            assert parameter.default == default[0]
        elif wanted != "message_timeout_s":
            assert parameter.default is parameter.empty
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in found[len(expected) :])


def test_the_names_are_those_of_today() -> None:
    core = importlib.import_module("openenv.core")
    for name in ("Action", "Observation", "State", "EnvironmentMetadata", "SyncEnvClient", "Transform"):
        assert getattr(core, name) is getattr(openenv, name)
    for name in ("Environment", "EnvClient", "MCPEnvironment", "StepResult"):
        assert issubclass(getattr(core, name), getattr(openenv, name))
    assert core.OpenEnvError is errors.OpenEnvError


def test_what_older_code_catches_is_still_caught() -> None:
    assert issubclass(errors.ConnectFailed, ConnectionError)
    assert issubclass(errors.RequestTimeout, TimeoutError)
    for raised in (errors.ExecutionFailed, errors.ActionInvalid, errors.CapacityReached, errors.FactoryFailed):
        assert issubclass(raised, RuntimeError)


@pytest.mark.parametrize(
    ("path", "unwanted"),
    [
        ("openenv.core", "pydantic fastapi uvicorn websockets"),
        ("openenv.core.client_types", "fastapi uvicorn websockets"),
        ("openenv.core.env_client", "fastapi uvicorn starlette"),
        ("openenv.core.mcp_client", "fastapi uvicorn starlette websockets httpx mcp"),
        ("openenv.core.env_server.types", "fastapi uvicorn websockets"),
        ("openenv.core.env_server.interfaces", "fastapi uvicorn websockets"),
    ],
)
def test_a_path_loads_only_what_it_needs(path: str, unwanted: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SRC)!r}); import {path};"
        f"sys.exit(' '.join(set({unwanted.split()!r}) & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.strip() == ""
