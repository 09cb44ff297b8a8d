"""Settings: a preset, a TOML file and `--set key=value`, in this order; an unknown key is an error."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from arxivcli.errors import UsageError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What random numbers are drawn from; NumPy takes none below zero, PyTorch none beyond 63 bits."""

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Base of all settings: frozen, nothing unknown, values checked, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixed_on_cpu: ClassVar[bool] = False
    """Whether training is better done in bf16 where the CPU is quicker in it."""


def resolve(schema: type[S], preset: dict[str, Any], config: Path | None = None, changes: Iterable[str] = ()) -> S:
    """The settings of `schema` after the preset, a TOML file and `key=value` changes. Raises UsageError."""
    values = dict(preset)
    if config is not None:
        values |= read_toml(config)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {change} has no {'name' if equals else 'value'}", "write --set key=value")
        values[key.strip()] = _parsed(value.strip())
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise _told(error, schema) from error


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's table. Raises UsageError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        hint = "give a TOML file of key = value lines"
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read settings from {path}: {why}", hint) from error


def _parsed(value: str) -> Any:
    """A value as TOML means it; bare words are strings."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _told(error: ValidationError, schema: type[BaseModel]) -> UsageError:
    """The first thing wrong, and what to do."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        told = unknown("setting", key, sorted(schema.model_fields))
        return UsageError(f"{told.what} of {schema.model_fields['kind'].default} models", told.hint)
    return UsageError(f"setting {key} = {first['input']!r}: {first['msg'].lower()}", "correct it and run again")


def to_toml(settings: BaseModel) -> str:
    """The settings as a TOML file that `resolve` reads back to the same settings."""
    lines = [f"{key} = {_written(value)}" for key, value in settings.model_dump().items() if value is not None]
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
