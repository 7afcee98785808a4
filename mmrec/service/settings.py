"""How the service runs: its address, its keys and its limits; nothing here changes a result."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from mmrec.errors import ConfigError
from mmrec.threads import cores

PREFIX = "MMREC_"  # of the environment's variables: MMREC_PORT, MMREC_API_KEYS ...
MOST_KEYS = 2  # the old one and the new one, while clients change over
SHORTEST_KEY = 16  # characters

Count = Annotated[int, Field(ge=1, le=100_000)]


class ServiceSettings(BaseModel):
    """Settings of one service; `make` and `read` raise ConfigError for an unknown or unfit one.

    Attributes:
        host: address to listen at; another than the machine's own needs `api_keys`.
        port: 0 takes any free one.
        api_keys: each of them gives access to every route; without one, only this machine's own programs are
            served.
        max_body: bytes of a request's body.
        max_batch: items or interactions of one request.
        rate: requests a second of one key, or of one client where no key is needed; 0 sets no limit.
        burst: requests that may come at once after a pause.
        timeout: seconds until a request is given up.
        threads: requests that read the store at the same time, one for each core unless set. Two more threads
            wait for encoders, and one writes.
        in_flight: requests that are worked on: as many that read, that encode, and that write.
        waiting: requests of each of these kinds that wait for it; one more is refused.
        device: of torch, to train on; None takes the CPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    api_keys: tuple[SecretStr, ...] = ()
    max_body: Annotated[int, Field(ge=1)] = 32 * 2**20
    max_batch: Count = 1_000
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1_000.0
    burst: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2_000.0
    timeout: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    threads: Count = Field(default_factory=cores)
    in_flight: Count = 16
    waiting: Annotated[int, Field(ge=0, le=100_000)] = 64
    device: str | None = None

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split(cls, keys: Any) -> Any:
        return [key.strip() for key in keys.split(",") if key.strip()] if isinstance(keys, str) else keys

    @field_validator("api_keys")
    @classmethod
    def _fit(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if len(keys) > MOST_KEYS:
            raise ValueError(f"{len(keys)} keys: give {MOST_KEYS} at most, the old one and the new one")
        for key in map(SecretStr.get_secret_value, keys):
            if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
                raise ValueError(
                    f"a key must be {SHORTEST_KEY} or more ASCII characters without blanks: make one with"
                    " `openssl rand -hex 32`"
                )
        return keys

    @classmethod
    def make(cls, **settings: Any) -> ServiceSettings:
        """Checked settings; the error of a wrong one never shows a key."""
        try:
            made = cls.model_validate(settings)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
            )
            raise ConfigError(f"{problems}. Known settings: {', '.join(cls.model_fields)}") from None
        if not made.api_keys and not is_loopback(made.host):
            raise ConfigError(
                f"host {made.host!r} can be reached from other machines, and no API key is set: set"
                f" {PREFIX}API_KEYS, or listen at 127.0.0.1"
            )
        return made

    @classmethod
    def read(cls, environment: Mapping[str, str], **given: Any) -> ServiceSettings:
        """Settings from the environment's `MMREC_...` variables; what is given and not None comes first."""
        variables = {name: PREFIX + name.upper() for name in cls.model_fields}
        found = {name: environment[v] for name, v in variables.items() if v in environment}
        return cls.make(**found | {name: value for name, value in given.items() if value is not None})


def is_loopback(host: str) -> bool:
    """Whether only this machine's own programs reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
