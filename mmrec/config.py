"""What changes a result: encoders, weights, fusion. Device, rng and progress are arguments, not settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mmrec import kinds
from mmrec.errors import ConfigError

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Config(BaseModel):
    """Settings of one store, chosen at its creation and kept in it.

    Attributes:
        text_encoder: a name from `mmrec encoders`, a hub name, a folder, `"auto"` or `"none"`.
        image_encoder: the same for pictures.
        weights: weight of each content field by name (text field, `"image"`, attribute); a field that is
            not named weighs 1, an attribute `attribute_weight`; 0 leaves it out of the content.
        attribute_weight: weight of an attribute that `weights` does not name.
        kind_weights: how much an interaction says, by kind; a negative weight is a dislike. One of another
            name that means the same weighs the same (`mmrec.kinds`), a kind that is not named keeps its
            weight there, one that is not there either counts as a click.
        dislike_weight: how strongly dislikes push the user's vector away.
        popularity_half_life: days after which an interaction counts half for the `popular` rung.
        rrf_k: constant of reciprocal rank fusion in `search`; smaller trusts the first ranks more.
        full_text_weight: weight of the full-text ranking in that fusion; each ranking by vectors weighs 1.
            Both are the best on 20 validation queries (`tests/benchmarks/quality.py`).

    Raises:
        ConfigError: on construction through `make`, for an unknown key or a value out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_encoder: str = "auto"
    image_encoder: str = "auto"
    weights: Mapping[str, Weight] = {}
    attribute_weight: Weight = 0.25
    kind_weights: Mapping[str, Annotated[float, Field(ge=-1000, le=1000)]] = dict(kinds.WEIGHTS)
    dislike_weight: Weight = 0.25
    popularity_half_life: Annotated[float, Field(gt=0)] = 30.0
    rrf_k: Annotated[int, Field(ge=1, le=10_000)] = 10
    full_text_weight: Weight = 0.5

    @field_validator("kind_weights")
    @classmethod
    def _spelling(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        return {kinds.spelling(kind): weight for kind, weight in weights.items()}

    @classmethod
    def make(cls, settings: Config | Mapping[str, Any] | None = None) -> Config:
        """A Config from one, from a mapping or from nothing, with our own error."""
        if isinstance(settings, Config):
            return settings
        try:
            return cls.model_validate(dict(settings or {}))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()
            )
            raise ConfigError(f"{problems}. Known settings: {', '.join(cls.model_fields)}") from None

    @classmethod
    def read(cls, path: str | Path) -> Config:
        """A Config from a TOML file."""
        import tomllib

        try:
            return cls.make(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
            raise ConfigError(f"cannot read the settings in {path}: {error}") from error
