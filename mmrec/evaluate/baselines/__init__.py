"""Recommenders that a head must beat, each with the settings to try on validation."""

from mmrec.evaluate.baselines.counting import EASE, Baseline, ContentKNN, Grid, ItemKNN, Popularity
from mmrec.evaluate.baselines.dropoutnet import DropoutNet
from mmrec.evaluate.baselines.factors import ALS, ContentRidge

BASELINES: tuple[type[Baseline], ...] = (
    Popularity, ContentKNN, ItemKNN, EASE, ALS, ContentRidge, DropoutNet,
)

__all__ = [
    "ALS", "BASELINES", "EASE", "Baseline", "ContentKNN", "ContentRidge", "DropoutNet", "Grid", "ItemKNN",
    "Popularity",
]
