"""The generative adversarial networks: their settings and names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from counterfeit.errors import InputError
from counterfeit.models.spec import (
    ModelSettings,
    ModelSpec,
    Optimizer,
    check_not_negative,
    check_rate,
    register,
    tuned,
)
from counterfeit.settings import check_count, option, setting, unless_set

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape

CHANGES = ("color", "translation", "cutout", "flip")  # of images, see models/gan/augment.py


@dataclass(frozen=True)
class AdversarialSettings(ModelSettings):
    """Settings of a generator and of the network that it is trained against, its discriminator or critic."""

    latent: int = setting(96)
    """Dimensions of the noise vector z."""
    encoder_width: int = setting(256)
    """Units per hidden layer of the discriminator or critic; of a convolutional one, per fully connected layer."""
    decoder_width: int = setting(1024)
    """Units per hidden layer of the generator; of a convolutional one, of its first fully connected layer."""
    augment: str = setting("none")
    """Random changes of all images that the discriminator or critic sees, real and generated: `none`, or some of
    `color`, `translation`, `cutout` and `flip` with commas between them (DiffAugment, arXiv:2006.10738). For data sets
    of a few hundred or thousand images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.changes:
            if name not in CHANGES or self.changes.count(name) > 1:
                raise InputError(
                    f"--augment is {self.augment!r}; it must be none, or one or more of {', '.join(CHANGES)}, each "
                    "once, with commas between them"
                )
        for name in ("latent", "encoder_width", "decoder_width"):
            check_count(getattr(self, name), option(name))

    @property
    def changes(self) -> list[str]:
        """The names in `augment`."""
        return [] if self.augment == "none" else [name.strip() for name in self.augment.split(",")]


@dataclass(frozen=True)
class GANSettings(AdversarialSettings):
    """Settings of a generator and a discriminator that are trained against each other."""

    betas: tuple[float, float] = setting((0.5, 0.999))
    """Decay rates of the moving averages of the gradients and of their squares."""
    loss: Literal["bce", "minimax", "least-squares", "hinge", "relativistic"] = setting("bce")
    """Training loss: `bce` is the non-saturating loss, `minimax` the original game, `least-squares` that of LSGAN,
    `hinge` that of SNGAN; with `relativistic` the discriminator compares real images with generated ones in pairs."""
    lr_discriminator: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint=unless_set("--lr"))] = setting(
        None
    )
    """Learning rate of the discriminator, if it should differ from --lr (two time-scale update rule,
    arXiv:1706.08500)."""
    label_smoothing: float = setting(0.0)
    """One-sided label smoothing: the discriminator's target for real images is 1 minus this; 0 turns it off, 0.1 is a
    usual value."""
    instance_noise: float = setting(0.0)
    """Standard deviation of the Gaussian noise added to all images that the discriminator sees, for pixels in [-1, 1];
    0 turns it off."""
    penalty: float = setting(0.0)
    """Weight of the squared gradient of the discriminator's output by the images, real ones (R1) and generated ones
    (R2); 0 turns it off."""
    penalty_share: float = setting(1.0)
    """Share of a batch, of its first images, that the penalty is taken on: a part costs less time. At most 1 (all)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self.lr_discriminator, "--lr-discriminator")
        check_not_negative(self.penalty, "penalty", "(off) or more, such as 0.1")
        if not 0 < self.penalty_share <= 1:
            raise InputError(
                f"--penalty-share is {self.penalty_share}; it must be above 0 and at most 1, such as 0.125"
            )
        check_not_negative(self.instance_noise, "instance_noise", "(off) or more, such as 0.1")
        if not 0 <= self.label_smoothing < 0.5:
            raise InputError(
                f"--label-smoothing is {self.label_smoothing}; it must be at least 0 (off) and below 0.5, such as 0.1"
            )

    def optimizer_of(self, network: str) -> Optimizer:
        usual = super().optimizer_of(network)
        if network == "discriminator" and self.lr_discriminator:
            return replace(usual, lr=self.lr_discriminator)
        return usual


def build(settings: GANSettings, shape: Shape, classes: int, *, net: str, normal: bool = False) -> Model:
    """A GAN of a pair of networks, see `counterfeit.nets.NETS`; with `classes` above 0 a conditional one."""
    from counterfeit.models.gan.model import GAN
    from counterfeit.nets import NETS

    pair = NETS[net]
    discriminator = pair.encoder(shape, 1, settings.encoder_width, classes)
    generator = pair.decoder(shape, settings.latent, settings.decoder_width, classes)
    return GAN(discriminator, generator, classes=classes, normal=normal, **of_game(settings))


def of_game(settings: GANSettings) -> dict[str, Any]:
    """What the settings say of a `GAN` beside its networks."""
    from counterfeit.models.losses import ADVERSARIAL

    return {
        "loss": ADVERSARIAL[settings.loss],
        "latent": settings.latent,
        "target": 1 - settings.label_smoothing,
        "instance_noise": settings.instance_noise,
        "penalty": settings.penalty,
        "penalty_share": settings.penalty_share,
        "augment": settings.changes,
    }


GAN_SPEC = register(
    ModelSpec(
        name="gan",
        title="fully connected GAN, non-saturating loss (--loss minimax for the printed game)",
        settings=GANSettings(),
        build=partial(build, net="fc-gan"),
        paper="Goodfellow et al. 2014, arXiv:1406.2661",
        differs="LeakyReLU instead of maxout, no dropout, Adam; G's update reuses the noise of D's update",
        published=True,
    )
)
LSGAN_SPEC = register(
    ModelSpec(
        name="lsgan",
        title="the same networks with the least-squares loss",
        settings=GANSettings(loss="least-squares"),
        build=partial(build, net="fc-gan"),
        paper="Mao et al. 2017, arXiv:1611.04076",
        differs="fully connected networks instead of convolutional ones; G's update reuses the noise of D's update",
        published=True,
    )
)
DCGAN_SPEC = register(
    ModelSpec(
        name="dcgan",
        title="convolutional GAN",
        settings=GANSettings(encoder_width=1024),
        build=partial(build, net="dcgan"),
        paper="Radford, Metz & Chintala 2016, arXiv:1511.06434",
        differs="max-pooling and no batch norm in D, fully connected layers in both, ReLU before batch norm in G",
        published=True,
    )
)
register(
    ModelSpec(
        name="cgan",
        title="conditional GAN: the label joins the noise and the image",
        settings=GANSettings(),
        build=partial(build, net="fc-gan"),
        conditional=True,
        paper="Mirza & Osindero 2014, arXiv:1411.1784",
        differs="image and label enter one layer together; LeakyReLU instead of maxout, no dropout, Adam",
    )
)
R3GAN_SETTINGS = GANSettings(
    loss="relativistic", penalty=0.5, encoder_width=1024, latent=128, schedule="cosine", ema=0.999
)
register(
    ModelSpec(
        name="r3gan",
        title="convolutional GAN, relativistic loss with both gradient penalties",
        settings=R3GAN_SETTINGS,
        build=partial(build, net="dcgan-halving", normal=True),
        paper="Huang et al. 2024, arXiv:2501.05441",
        differs="the paper's objective on the networks of dcgan; γ stays, rates fall to 0",
        small={"encoder_width": 16, "decoder_width": 16},
    )
)
register(
    ModelSpec(
        name="cr3gan",
        title="r3gan with labels: pairs of real and generated images are of one class",
        settings=R3GAN_SETTINGS.replace({"epochs": 7, "batch_size": 32, "penalty_share": 0.125}),
        build=partial(build, net="dcgan-halving", normal=True),
        conditional=True,
        paper="Huang et al. 2024, arXiv:2501.05441",
        differs="the paper's objective on the networks of dcgan, which the label joins; γ stays, rates fall to 0",
        small={"encoder_width": 16, "decoder_width": 16},
    )
)
for _spec in (GAN_SPEC, LSGAN_SPEC):
    tuned(_spec, lr=5e-4, lr_discriminator=2e-3, batch_size=64, ema=0.99)
tuned(DCGAN_SPEC, lr_decay=0.7)
