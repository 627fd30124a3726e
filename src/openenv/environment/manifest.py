"""``openenv.yaml``: what a packaged environment declares about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openenv.environment.credentials import CredentialSource
from openenv.errors import ConfigurationError

__all__ = ["MANIFEST_NAME", "DeclaredCredential", "Manifest", "find_manifest", "read_manifest"]

MANIFEST_NAME = "openenv.yaml"


class DeclaredCredential(BaseModel):
    """Where a credential comes from; of a variable by its own name unless this says otherwise."""

    model_config = ConfigDict(extra="forbid")

    env: str | None = None
    file: str | None = None
    optional: bool = False


class Manifest(BaseModel):
    """The keys that are read; unknown ones are kept as they are.

    Attributes:
        name: Name of the environment.
        app: Where its app is, as ``module:attribute``.
        port: Port its container listens on, 1 to 65535.
        spec_version: Version of this format.
        type: Kind of package; ``space`` is common.
        runtime: Web framework of the app.
        credentials: Secrets that the environment needs: their names, or where each comes from by its name.
        mcp_servers: Outside MCP servers that are mounted, by name; see ``ServerDescription.of``.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    app: str | None = None
    port: int = 8000
    spec_version: int | str = 1
    type: str | None = None
    runtime: str | None = None
    description: str | None = None
    version: str | None = None
    author: str | None = None
    credentials: list[str] | dict[str, DeclaredCredential | None] = Field(default_factory=list)
    mcp_servers: dict[str, str | dict[str, Any]] = Field(default_factory=dict)

    def credential_sources(self, directory: Path) -> tuple[CredentialSource, ...]:
        """Where its credentials come from.

        Args:
            directory: That of the manifest, which files are relative to.
        """
        given = self.credentials if isinstance(self.credentials, dict) else dict.fromkeys(self.credentials)
        return tuple(
            CredentialSource(
                name,
                None if one is None else one.env,
                None if one is None or one.file is None else str(directory / Path(one.file).expanduser()),
                one is not None and one.optional,
            )
            for name, one in given.items()
        )


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file.

    Raises:
        ConfigurationError: The file cannot be read, is no YAML mapping, or a key has the wrong type.
    """
    import yaml  # here: a server that was told its app needs no manifest

    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise ConfigurationError(f"{path} is not valid YAML: {where}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold keys and values, such as 'name: my_env'")
    try:
        return Manifest.model_validate({str(key): value for key, value in content.items()})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {field}: {first['msg']}") from error


def find_manifest(directory: Path) -> Path | None:
    """The manifest of a package directory: in it, or in the one package it holds under ``src``."""
    direct = directory / MANIFEST_NAME
    if direct.is_file():
        return direct
    nested = sorted(directory.glob(f"src/*/{MANIFEST_NAME}"))
    return nested[0] if len(nested) == 1 else None
