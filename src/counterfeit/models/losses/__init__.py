"""Losses apart from nets: likelihoods for the autoencoders, adversarial pairs for the GANs."""

from counterfeit.models.losses.adversarial import ADVERSARIAL, Adversarial
from counterfeit.models.losses.likelihood import LIKELIHOODS, Bernoulli, Likelihood, kl_standard_normal

__all__ = ["ADVERSARIAL", "LIKELIHOODS", "Adversarial", "Bernoulli", "Likelihood", "kl_standard_normal"]
