"""Everything that an operator may set, read once from ``GOSTAGE_*``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from gostage_core.bounds import Bounds
from gostage_core.duration import Seconds
from gostage_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


PREFIX: Final = "GOSTAGE_"
FOR_OUR_PROCESS: Final = "for a process of ours"
"""The context in which settings are written out with the keys in them."""

_OF_OUR_PROCESSES: Final = frozenset({"GOSTAGE_LAUNCH"})
"""Variables with which processes of ours start one another; they are no settings."""


class Settings(BaseModel):
    """What may be set, each from the environment variable ``GOSTAGE_`` + its name."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    redis_url: str = "redis://localhost:6379/0"
    """Where runs are kept: ``redis://``, ``rediss://`` or ``unix://``."""

    broker_url: str | None = None
    """Celery's broker, where it is another one than the Redis that keeps the runs."""

    namespace: str = "gostage"
    """The prefix of every key, and the name of the default queue: one for each application."""

    modules: tuple[str, ...] = ()
    """Modules that a worker imports for the actions in them, separated by commas."""

    lease: Seconds = Field(default=3.0, ge=0.5, le=3600)
    """How long a worker process may be silent before its actions are given to others."""

    tick: Seconds = Field(default=0.5, ge=0.05, le=60)
    """How often each worker renews its leases and looks for what is due."""

    retention: Seconds = Field(default=7 * 86_400.0, ge=0)
    """How long a run that has ended can be looked at."""

    window: int = Field(default=4, ge=1, le=64)
    """How many links one Celery chain carries at most."""

    small_store: int = Field(default=512, ge=0, le=65_536)
    """A store of at most so many bytes is sent along with the claim of an action."""

    cancel_grace: Seconds = Field(default=30.0, ge=0)
    """How long what runs may go on in a run that is to end, before it is ended from outside."""

    max_live_runs: int = Field(default=0, ge=0)
    """How many runs may live at a time before a submit is refused; 0 for any number."""

    max_queued: int = Field(default=0, ge=0)
    """How many messages may wait in the queue before a submit is refused; 0 for any number."""

    max_journal: int = Field(default=100_000, ge=1_000)
    """How many entries the history of a run keeps; the oldest go."""

    max_store_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """How large the store of one run may be in all, encoded."""

    max_past_bytes: int = Field(default=1024 * 1024, ge=0)
    """How much of what was replaced in a store is kept, for forks from a time before."""

    max_signals: int = Field(default=1_000, ge=1)
    """How many signals a run keeps that nobody waits for yet."""

    max_value_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """The largest value that the store takes, encoded, and the largest message."""

    max_messages: int = Field(default=100_000, ge=1)
    """How many messages of its actions a run keeps."""

    max_message_bytes: int = Field(default=1024 * 1024, ge=64)
    """The largest payload of a message; whoever follows a run reads them all."""

    max_plan_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """The largest definition that a submit takes, as JSON."""

    max_losses: int = Field(default=3, ge=1, le=100)
    """How many workers an action may take with it before it fails as poison."""

    log_format: Literal["text", "json"] = "text"
    """How workers of our own log: lines for people, or one JSON object a line."""

    durability: Literal["none", "relaxed", "strict"] = "relaxed"
    """What the preflight asks: ``strict`` refuses a server without AOF, ``relaxed`` warns."""

    encryption_keys: SecretStr | None = None
    """Keys by which values and parameters are encrypted: ``id:base64``, separated by commas. The
    first one encrypts, all of them decrypt."""

    encryption_keys_file: Path | None = None
    """The file that has them, in place of the variable."""

    signing_keys: SecretStr | None = None
    """Keys by which messages are signed, likewise. The first one signs, all of them are good."""

    signing_keys_file: Path | None = None
    """The file that has them, in place of the variable."""

    signing: Literal["require", "accept"] = "require"
    """Whether a worker that has signing keys takes unsigned messages too, until all others sign."""

    @property
    def bounds(self) -> Bounds:
        """What each run may keep, and for how long it is kept itself."""
        return Bounds(
            retention_ms=round(self.retention * 1000),
            journal=self.max_journal,
            store_bytes=self.max_store_bytes,
            past_bytes=self.max_past_bytes,
            grace_ms=round(self.cancel_grace * 1000),
        )

    @field_validator("modules", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @model_validator(mode="after")
    def _renew_in_time(self) -> Self:
        if self.tick * 3 > self.lease:
            raise ValueError("GOSTAGE_LEASE must be at least three times GOSTAGE_TICK")
        return self

    @field_serializer("encryption_keys", "signing_keys", when_used="json")
    def _shown_to_ours(self, keys: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        """Write keys out for a process of ours alone, which is handed its settings."""
        if keys is None:
            return None
        return keys.get_secret_value() if info.context == FOR_OUR_PROCESS else str(keys)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: object) -> Settings:
        """Read the settings from *environ*; *given* ones that are not ``None`` win.

        Raises:
            ConfigurationError: a value that does not fit, or a name that is no setting.
        """
        values: dict[str, object] = {
            name.removeprefix(PREFIX).lower(): text
            for name, text in environ.items()
            if name.startswith(PREFIX) and name not in _OF_OUR_PROCESSES
        }
        values.update({name: value for name, value in given.items() if value is not None})
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = PREFIX + ".".join(str(part) for part in problem["loc"]).upper()
        if not problem["loc"]:
            lines.append(problem["msg"].removeprefix("Value error, "))
        elif problem["type"] == "extra_forbidden":
            known = ", ".join(PREFIX + field.upper() for field in Settings.model_fields)
            lines.append(f"{name} is no setting; there are {known}")
        else:
            lines.append(f"{name}={problem['input']!r}: {problem['msg']}")
    return "\n".join(lines)


def redacted(url: str) -> str:
    """Return *url* without its password, fit for a message."""
    try:
        parts = urlsplit(url)
        if parts.password is None:
            return url
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
    except ValueError:
        return "<unreadable url>"
