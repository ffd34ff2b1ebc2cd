"""Losses apart from nets: likelihoods for the autoencoders, adversarial pairs for the GANs."""

from counterfeit.losses.adversarial import ADVERSARIAL, Adversarial
from counterfeit.losses.likelihood import LIKELIHOODS, kl_standard_normal

__all__ = ["ADVERSARIAL", "LIKELIHOODS", "Adversarial", "kl_standard_normal"]
