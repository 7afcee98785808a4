"""Recommenders that a head must beat, each with the settings to try on validation."""

from mmrec.evaluate.baselines.base import Baseline, Grid
from mmrec.evaluate.baselines.counting import ContentKNN, ItemKNN, Popularity
from mmrec.evaluate.baselines.dropoutnet import DropoutNet
from mmrec.evaluate.baselines.ease import EASE
from mmrec.evaluate.baselines.factors import ALS
from mmrec.evaluate.baselines.ridge import ContentRidge

BASELINES: tuple[type[Baseline], ...] = (
    Popularity, ContentKNN, ItemKNN, EASE, ALS, ContentRidge, DropoutNet,
)

__all__ = [
    "ALS", "BASELINES", "EASE", "Baseline", "ContentKNN", "ContentRidge", "DropoutNet", "Grid", "ItemKNN",
    "Popularity",
]
