"""Protocols, metrics and baselines: how well a model ranks, with intervals."""
