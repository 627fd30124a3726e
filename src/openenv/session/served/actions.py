"""What is sent as an action, as the action that an environment takes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw
from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator

from openenv.errors import ActionInvalid
from openenv.protocol import EncodingFailed, to_json
from openenv.types.tagged import TAGGED

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["ActionParser"]


class ActionParser:
    """Reads actions of one type.

    Args:
        action_type: The author's pydantic model.
    """

    def __init__(self, action_type: type[BaseModel]) -> None:
        self.action_type = action_type

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter  # here: a server waits for its first session without it

        return TypeAdapter(self.action_type)

    @functools.cached_property
    def _read_json(self) -> Callable[[bytes], Any]:
        validator = self._adapter.validator
        return validator.validate_json if isinstance(validator, SchemaValidator) else self._adapter.validate_json

    def parse(self, sent: Any) -> Any:
        """An action from JSON text (``Raw`` or bytes), or from the value that was sent where it needed more than JSON.

        Raises:
            ActionInvalid: It does not fit; ``details["errors"]`` says which field and why.
        """
        is_text = isinstance(sent, (Raw, bytes))
        try:
            return self._read_json(bytes(sent)) if is_text else self._adapter.validate_python(sent)
        except ValidationError as error:
            write = to_json if is_text else TAGGED.write
            errors = [_sendable(dict(entry), write) for entry in error.errors(include_url=False, include_context=False)]
            first = errors[0]
            field = ".".join(str(part) for part in first["loc"]) or "action"
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise ActionInvalid(
                f"invalid {self.action_type.__name__}: {field}: {first['msg']}{more}",
                details={"errors": errors},
            ) from None
        except BaseException as error:  # an author's validator may raise anything, also sys.exit; no await is in here
            told = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise ActionInvalid(
                f"invalid {self.action_type.__name__}: its validator raised {told}",
                details={"errors": [{"loc": [], "msg": told, "type": "validator_raised"}]},
            ) from error


def _sendable(entry: dict[str, Any], write: Callable[[Any], Any]) -> dict[str, Any]:
    """One field's error as it can be sent; an input that a validator made into something else is left out."""
    entry["loc"] = list(entry["loc"])
    try:
        write(entry["input"])
    except EncodingFailed:
        del entry["input"]
    return entry
