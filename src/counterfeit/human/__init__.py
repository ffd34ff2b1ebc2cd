"""The human test: people say of one image after another whether it is real; the share that they misjudge is a score.

Zhou et al. 2019, "HYPE: A Benchmark for Human eYe Perceptual Evaluation of Generative Models" (arXiv:1904.01121).
`design` decides what a rater sees, `store` keeps the answers, `statistics` has the numbers; docs/judge.md explains all.
"""
