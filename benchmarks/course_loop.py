"""The training loop that courses teach, written as their notebooks are: the other side of `make bench`.

A Dataset that turns one PIL image at a time into a tensor, a DataLoader, Adam as it comes, `.item()` every step; the
VAE with a sigmoid and binary cross entropy, the GANs with new noise for each of the two updates.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from counterfeit.models import MODELS
from counterfeit.models.ae.model import AE
from counterfeit.models.base import Model
from counterfeit.models.gan.model import GAN
from counterfeit.models.vae.model import VAE
from counterfeit.nets.conv import Conv2d, ConvTranspose2d
from counterfeit.nets.linear import Linear
from pil_data import PilDataset


def plain(model: Model) -> Model:
    """The same network with the same weights, of PyTorch's own layers."""
    for parent in list(model.modules()):
        for name, module in parent.named_children():
            if isinstance(module, Linear):
                setattr(parent, name, _plain_linear(module))
            elif isinstance(module, Conv2d | ConvTranspose2d):
                module.__class__ = type(module).__base__
    return model


def _plain_linear(ours: Linear) -> nn.Module:
    theirs = nn.Linear(ours.in_features, ours.out_features)
    theirs.load_state_dict(ours.state_dict())
    if ours.slope is None:
        return theirs
    return nn.Sequential(theirs, nn.LeakyReLU(ours.slope, inplace=True) if ours.slope else nn.ReLU(inplace=True))


def course_steps(name: str, model: Model, images: np.ndarray, labels: np.ndarray) -> Iterator[dict[str, float]]:
    """Train for ever, one step an item, yielding the losses."""
    config = MODELS[name].settings
    loader = DataLoader(PilDataset(images, labels), batch_size=config.batch_size, shuffle=True, drop_last=True)
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=config.lr, betas=config.betas)
        for name, network in model.networks().items()
    }
    step = {AE: _autoencoder_step, VAE: _autoencoder_step, GAN: _gan_step}[type(model)]
    while True:
        for x, y in loader:
            yield step(name, model, x, y, optimizers)


def _autoencoder_step(name, model, x, y, optimizers):
    y = y if model.classes else None
    if isinstance(model, VAE):
        mu, logvar = model.encoder(x, y).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
    else:
        z, kl = model.encoder(x), torch.zeros(())
    x_hat = torch.sigmoid(model.decoder(z, y))
    loss = F.binary_cross_entropy(x_hat, x, reduction="sum") / len(x) + kl
    optimizers["autoencoder"].zero_grad()
    loss.backward()
    optimizers["autoencoder"].step()
    return {"loss": loss.item()}


def _gan_step(name, model, x, y, optimizers):
    real = 2 * (x - 0.5)
    n = len(x)

    optimizers["discriminator"].zero_grad()
    fake = torch.tanh(model.generator(2 * torch.rand(n, *model.latent_shape) - 1)).detach()
    logits_real, logits_fake = model.discriminator(real), model.discriminator(fake)
    if name == "lsgan":
        d_loss = 0.5 * ((logits_real - 1) ** 2).mean() + 0.5 * (logits_fake**2).mean()
    else:
        d_loss = F.binary_cross_entropy_with_logits(logits_real, torch.ones(n, 1))
        d_loss = d_loss + F.binary_cross_entropy_with_logits(logits_fake, torch.zeros(n, 1))
    d_loss.backward()
    optimizers["discriminator"].step()

    optimizers["generator"].zero_grad()
    fake = torch.tanh(model.generator(2 * torch.rand(n, *model.latent_shape) - 1))
    logits_fake = model.discriminator(fake)
    if name == "lsgan":
        g_loss = 0.5 * ((logits_fake - 1) ** 2).mean()
    else:
        g_loss = F.binary_cross_entropy_with_logits(logits_fake, torch.ones(n, 1))
    g_loss.backward()
    optimizers["generator"].step()
    return {"d_loss": d_loss.item(), "g_loss": g_loss.item()}
