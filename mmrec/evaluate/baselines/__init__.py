"""Recommenders that a trained head must beat, by name; a further one is registered in `BASELINES`."""

from mmrec.evaluate.baselines.counting import EASE, Baseline, ContentKNN, Grid, ItemKNN, Popularity
from mmrec.evaluate.baselines.factors import ALS, ContentRidge

BASELINES: dict[str, type[Baseline]] = {
    make.name: make for make in (Popularity, ContentKNN, ItemKNN, EASE, ALS, ContentRidge)
}

__all__ = [
    "ALS", "BASELINES", "EASE", "Baseline", "ContentKNN", "ContentRidge", "Grid", "ItemKNN", "Popularity",
]
