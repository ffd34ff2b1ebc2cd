"""The named models as plain data: which family, net and loss, at which rates; from which paper, and what differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from counterfeit.registry import Registry
from counterfeit.settings import Config


@dataclass(frozen=True)
class Recipe:
    """A named model.

    Attributes:
        name: as the command line calls it.
        title: one line for a person.
        family: objective, see `counterfeit.models.FAMILIES`.
        net: pair of architectures, see `counterfeit.nets.NETS`.
        conditional: whether it learns p(image | label).
        config: its own settings; the user's changes go on top.
        paper: where it comes from.
        differs: what differs from that paper.
    """

    name: str
    title: str
    family: str
    net: str
    conditional: bool
    config: Config
    paper: str
    differs: str


RECIPES: Registry[Recipe] = Registry("model")

_AUTOENCODER = Config()  # the report's settings are the defaults of Config
_GAN = Config(loss="bce", latent=96, encoder_width=256, decoder_width=1024, betas=(0.5, 0.999))
_DCGAN = Config(loss="bce", latent=96, encoder_width=1024, decoder_width=1024, betas=(0.5, 0.999))
_LSGAN = Config(loss="least-squares", latent=96, encoder_width=256, decoder_width=1024, betas=(0.5, 0.999))

for recipe in (
    Recipe(
        name="ae",
        title="fully connected autoencoder, sampled from a Gaussian fitted to its codes",
        family="ae",
        net="fc-vae",
        conditional=False,
        config=_AUTOENCODER,
        paper="Hinton & Salakhutdinov 2006, Science 313; sampling: Ghosh et al. 2020, arXiv:1903.12436",
        differs="trained end to end without pretraining; the Gaussian follows the codes during training",
    ),
    Recipe(
        name="vae",
        title="fully connected variational autoencoder (the report's FCVAE)",
        family="vae",
        net="fc-vae",
        conditional=False,
        config=_AUTOENCODER,
        paper="Kingma & Welling 2013, arXiv:1312.6114",
        differs="three hidden layers of 400 with ReLU and Adam, where the paper has one of 500 with tanh and Adagrad",
    ),
    Recipe(
        name="cvae",
        title="conditional variational autoencoder: the label joins the image and z",
        family="vae",
        net="fc-vae",
        conditional=True,
        config=_AUTOENCODER,
        paper="Sohn, Lee & Yan 2015, NeurIPS",
        differs="the prior of z does not depend on the label",
    ),
    Recipe(
        name="gan",
        title="fully connected GAN, non-saturating loss (--loss minimax for the printed game)",
        family="gan",
        net="fc-gan",
        conditional=False,
        config=_GAN,
        paper="Goodfellow et al. 2014, arXiv:1406.2661",
        differs="LeakyReLU instead of maxout, no dropout, Adam; G's update reuses the noise of D's update",
    ),
    Recipe(
        name="lsgan",
        title="the same networks with the least-squares loss",
        family="gan",
        net="fc-gan",
        conditional=False,
        config=_LSGAN,
        paper="Mao et al. 2017, arXiv:1611.04076",
        differs="fully connected networks instead of convolutional ones; G's update reuses the noise of D's update",
    ),
    Recipe(
        name="dcgan",
        title="convolutional GAN",
        family="gan",
        net="dcgan",
        conditional=False,
        config=_DCGAN,
        paper="Radford, Metz & Chintala 2016, arXiv:1511.06434",
        differs="max-pooling and no batch norm in D, fully connected layers in both, ReLU before batch norm in G",
    ),
):
    RECIPES.add(recipe.name, recipe)


def _tuned(name: str, **settings: Any) -> None:
    """The same networks, data and epochs with settings that a search found to score better: benchmarks/search.py."""
    exact = RECIPES[name]
    found = replace(exact, name=f"{name}-tuned", config=exact.config.replace(settings))
    RECIPES.add(found.name, replace(found, title=f"{name} with settings that a search found to score better"))


_tuned("vae", kl_weight=0.5, batch_size=64)
for _name in ("gan", "lsgan"):
    _tuned(_name, lr=5e-4, lr_discriminator=2e-3, batch_size=64, ema=0.99)
_tuned("dcgan", lr_decay=0.7)
