"""Weights for `zoo:NAME` of counterfeit: run folders, and no code. counterfeit reads the files and imports nothing."""
