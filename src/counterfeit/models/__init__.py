"""Families: an objective over a pair of nets. The named models are recipes of them (see `counterfeit.recipes`)."""

from counterfeit.models.ae import AE
from counterfeit.models.build import FAMILIES, build, build_from_recipe
from counterfeit.models.family import Autoencoder, Family, Update
from counterfeit.models.gan import GAN
from counterfeit.models.vae import VAE

__all__ = ["AE", "FAMILIES", "GAN", "VAE", "Autoencoder", "Family", "Update", "build", "build_from_recipe"]
