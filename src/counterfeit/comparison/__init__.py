"""Runs beside each other: a grid of models, data sets and seeds, trained, scored and put into tables."""
