"""The generators: a room each for their settings and their objective. Importing the names imports no torch."""

from counterfeit.models import ae, vae, vq_vae, gan, vae_gan, wgan, sngan, flow, ddpm  # noqa: F401, I001 - each registers its models, in this order
from counterfeit.models.plugins import load_installed
from counterfeit.models.spec import MODELS, ModelSettings, ModelSpec, Sampling, register
from counterfeit.settings import check_count, setting

__all__ = ["MODELS", "ModelSettings", "ModelSpec", "Sampling", "check_count", "register", "setting"]

MODELS.find_more(load_installed)
