"""What people would run in place of flow, ddpm and wgan-gp, in the manner of the examples of those projects.

Each is written here after the example, with its optimizer, its bookkeeping per step and its loader, which turns one PIL
image at a time into a tensor as torchvision's data sets do. Nothing of ours is imported: the first two run in an
environment of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pil_data import PilDataset

BATCH = 128
CRITIC_STEPS = 5
Steps = Iterator[float]


def batches(images: np.ndarray, batch: int) -> Iterator[Tensor]:
    """Batches in [-1, 1] for ever."""
    loader = DataLoader(PilDataset(images, np.zeros(len(images))), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        for x, _ in loader:
            yield 2 * x - 1


def torchcfm_net(shape: tuple[int, int, int]) -> nn.Module:
    """The U-Net of torchcfm's example of MNIST, at the sizes that are given there."""
    from torchcfm.models.unet import UNetModel

    return UNetModel(dim=shape, num_channels=32, num_res_blocks=1)


def torchcfm(images: np.ndarray) -> Steps:
    """The example's loop: a matcher of independent pairs, Adam, the loss of every step read for the progress bar."""
    from torchcfm.conditional_flow_matching import ConditionalFlowMatcher

    net = torchcfm_net(images.shape[1:]).train()
    optimizer, matcher = torch.optim.Adam(net.parameters()), ConditionalFlowMatcher(sigma=0.0)
    for x in batches(images, BATCH):
        optimizer.zero_grad()
        t, at, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(x), x)
        loss = (net(t, at) - velocity).square().mean()
        loss.backward()
        optimizer.step()
        yield loss.item()


def diffusers_net(shape: tuple[int, int, int]) -> nn.Module:
    """diffusers' U-Net with the channels and blocks of ours: its own defaults are some hundred times as large."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=shape[1],
        in_channels=shape[0],
        out_channels=shape[0],
        layers_per_block=1,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        norm_num_groups=8,
        add_attention=False,
    )


def diffusers(images: np.ndarray) -> Steps:
    """The unconditional example without accelerate: AdamW, clipped gradients, averaged weights."""
    from diffusers import DDPMScheduler
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    net = diffusers_net(images.shape[1:]).train()
    noises = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
    rates = get_scheduler("cosine", optimizer, num_warmup_steps=500, num_training_steps=100_000)
    average = EMAModel(net.parameters(), decay=0.9999, use_ema_warmup=True)
    for x in batches(images, BATCH):
        noise, times = torch.randn_like(x), torch.randint(0, 1000, (len(x),))
        loss = F.mse_loss(net(noises.add_noise(x, noise, times), times).sample, noise)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        average.step(net.parameters())
        yield loss.item()


def script(images: np.ndarray, critic: nn.Module, generator: nn.Module, latent: int, batch: int) -> Steps:
    """A WGAN-GP as PyTorch-GAN's single files have it; a step is five updates of the critic and one of G."""
    of_critic = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    of_generator = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for i, x in enumerate(batches(images, batch), 1):
        of_critic.zero_grad()
        fake = generator(torch.randn(len(x), latent)).tanh()
        share = torch.rand(len(x), 1, 1, 1)
        between = (share * x + (1 - share) * fake.detach()).requires_grad_()
        judged = critic(between)
        (slope,) = torch.autograd.grad(judged, between, torch.ones_like(judged), create_graph=True, retain_graph=True)
        penalty = (slope.flatten(1).norm(2, dim=1) - 1).square().mean()
        d_loss = critic(fake.detach()).mean() - critic(x).mean() + 10 * penalty
        d_loss.backward()
        of_critic.step()
        if i % CRITIC_STEPS == 0:
            of_generator.zero_grad()
            g_loss = -critic(generator(torch.randn(len(x), latent)).tanh()).mean()
            g_loss.backward()
            of_generator.step()
            yield d_loss.item() + g_loss.item()


LOOPS: dict[str, Callable[[np.ndarray], Steps]] = {"torchcfm": torchcfm, "diffusers": diffusers}
NETS = {"torchcfm": torchcfm_net, "diffusers": diffusers_net}
