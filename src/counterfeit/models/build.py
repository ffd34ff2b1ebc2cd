"""From a recipe and settings to a family with fresh weights."""

from __future__ import annotations

from collections.abc import Callable

from counterfeit.errors import InputError
from counterfeit.models.ae import AE
from counterfeit.models.base import Family
from counterfeit.models.gan import GAN
from counterfeit.models.losses import ADVERSARIAL, LIKELIHOODS
from counterfeit.models.recipes import RECIPES, Recipe
from counterfeit.models.vae import VAE
from counterfeit.nets import NETS, Pair, Shape
from counterfeit.nets.initial import Seeded, initialise
from counterfeit.registry import Registry
from counterfeit.settings import Config, option

OF_ONE_FAMILY = {
    "kl_weight": "vae",
    "label_smoothing": "gan",
    "lr_discriminator": "gan",
    "instance_noise": "gan",
}  # settings that mean nothing to the other families
FAMILIES: Registry[Callable[[Pair, Config, Shape, int], Family]] = Registry("family")


@FAMILIES.register("ae")
def _ae(pair: Pair, config: Config, shape: Shape, classes: int) -> Family:
    encoder = pair.encoder(shape, config.latent, config.encoder_width, 0)
    decoder = pair.decoder(shape, config.latent, config.decoder_width, 0)
    return AE(encoder, decoder, LIKELIHOODS[config.loss], config.latent)


@FAMILIES.register("vae")
def _vae(pair: Pair, config: Config, shape: Shape, classes: int) -> Family:
    encoder = pair.encoder(shape, 2 * config.latent, config.encoder_width, classes)
    decoder = pair.decoder(shape, config.latent, config.decoder_width, classes)
    return VAE(encoder, decoder, LIKELIHOODS[config.loss], config.latent, classes, config.kl_weight)


@FAMILIES.register("gan")
def _gan(pair: Pair, config: Config, shape: Shape, classes: int) -> Family:
    discriminator = pair.encoder(shape, 1, config.encoder_width, 0)
    generator = pair.decoder(shape, config.latent, config.decoder_width, 0)
    return GAN(
        discriminator,
        generator,
        ADVERSARIAL[config.loss],
        config.latent,
        1 - config.label_smoothing,
        config.instance_noise,
    )


def build(recipe: Recipe, config: Config, shape: Shape, classes: int) -> Family:
    """A family on the CPU, initialised from config.seed alone: the global random state is neither used nor changed.

    Args:
        shape: (C, H, W) of the images.
        classes: number of labels of the data, 0 when it has none.

    Raises:
        InputError: the loss or another setting does not belong to the family, the net cannot take the shape, or labels
            are missing.
    """
    for name, family in OF_ONE_FAMILY.items():
        if recipe.family != family and getattr(config, name) != getattr(Config, name):
            takers = ", ".join(other.name for other in RECIPES.values() if other.family == family)
            raise InputError(f"{recipe.name} has no {option(name)}: leave it out, or train one of {takers}")
    if recipe.conditional and not classes:
        raise InputError(
            f"{recipe.name} learns from labels and {config.data} has none: "
            "put each class of images into a subfolder of its own, give labels=, or take an unconditional model"
        )
    with Seeded(config.seed):
        model = FAMILIES[recipe.family](NETS[recipe.net], config, shape, classes if recipe.conditional else 0)
        initialise(model, config.init)
        return model


def build_from_recipe(name: str, shape: Shape, classes: int = 0) -> Family:
    """A named model with its recipe's own settings: `build_from_recipe("dcgan", (1, 28, 28))`."""
    recipe = RECIPES[name]
    return build(recipe, recipe.config, shape, classes)
