"""Comparisons of runs: a grid of models, data sets and seeds is trained, scored and summarized in tables."""
