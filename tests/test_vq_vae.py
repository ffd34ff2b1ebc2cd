"""The VQ-VAE: codebook against the paper's formulas, the prior against its own chain rule, the two stages."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import counterfeit as cf
from counterfeit import sampling
from counterfeit.errors import InputError, RunError
from counterfeit.models import MODELS
from counterfeit.models.base import Batch, HasLatents
from counterfeit.models.build import build, build_named
from counterfeit.models.plan import Plan
from counterfeit.models.vq_vae import VQVAESampling, VQVAESettings
from counterfeit.models.vq_vae.codebook import Codebook
from counterfeit.models.vq_vae.model import VQVAE
from counterfeit.nets.transformer import Transformer
from counterfeit.system.noise import Noise

SHAPE = (1, 16, 16)
K, D, T = 8, 3, 4


def vq_vae(**settings: float) -> VQVAE:
    spec = MODELS["vq-vae"]
    model = build(spec, spec.settings.replace({**spec.small, **settings}), SHAPE, 0)
    assert isinstance(model, VQVAE)
    return model


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def vectors(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, T, D, generator=torch.Generator().manual_seed(seed))


def codebook(revival: float = 0.0, decay: float = 0.9, seen: int = K) -> Codebook:
    """With codes that lie apart; with `seen` at K or more, they are those that it has."""
    torch.manual_seed(0)
    found = Codebook(K, D, decay, revival)
    found.seen.fill_(seen)
    return found


def followed(book: Codebook, z: Tensor, rng: Noise | None = None) -> Tensor:
    codes, distances = book.nearest(z)
    book.follow(z, codes, distances, rng or Noise.seeded(0))
    return codes


# --------------------------------------------------------------------------------------------------------- the codebook


def test_the_nearest_code_is_the_one_at_the_smallest_distance() -> None:
    book, z = codebook(), vectors(50) + 100  # far from 0, where |z|² - 2 z e + |e|² would lose all digits
    book.sums += 100
    every = (z.double()[:, :, None] - book.vectors().double()).square().sum(-1)  # (B, T, K)
    codes, distances = book.nearest(z)
    assert torch.equal(codes, every.argmin(-1))
    torch.testing.assert_close(distances.double(), every.amin(-1), rtol=1e-4, atol=1e-4)  # float32 at 100


def test_codes_are_the_moving_averages_of_appendix_a1() -> None:
    """By hand, three steps; what a step does not use keeps its vector, and its size falls by the decay."""
    book = codebook(decay=0.9)
    sizes, sums = book.sizes.double().numpy(), book.sums.double().numpy()
    for seed in range(3):
        z = vectors(6, seed)
        before, codes = book.vectors(), followed(book, z)
        of_image = Counter(codes.flatten().tolist())
        for k in range(K):
            total = z.double()[codes == k].sum(0).numpy()
            sizes[k] = 0.9 * sizes[k] + 0.1 * of_image[k] / 6
            sums[k] = 0.9 * sums[k] + 0.1 * total / 6
            if not of_image[k]:
                torch.testing.assert_close(book.vectors()[k], before[k])
    np.testing.assert_allclose(book.sizes, sizes, rtol=1e-5)
    np.testing.assert_allclose(book.vectors(), sums / sizes[:, None], rtol=1e-4)
    assert book.seen == K + 18


def test_the_first_images_give_the_codes_their_vectors() -> None:
    """One each, an output of that image, over as many steps as it takes; later images give none while none is dead."""
    book, z = codebook(seen=0), vectors(K + 3)
    for part in z.split(5):
        followed(book, part)
        if book.seen == 5:
            for k, vector in enumerate(book.vectors()[:5]):
                assert (z[k] - vector).abs().amax(1).min() < 1e-6
    first = codebook(seen=0)
    followed(first, z)
    for k, vector in enumerate(first.vectors()):
        assert (z[k] - vector).abs().amax(1).min() < 1e-6, "with more images than codes the first K give"


def test_a_dead_code_is_revived_by_the_image_whose_turn_it_is_and_no_other_code_is() -> None:
    book, z = codebook(revival=0.2, seen=3 * K + 2), vectors(4)
    book.sizes[:] = T / K
    book.sizes[[1, 3, 5]] = 0.19 * T / K  # images 0 to 3 of the step offer to codes 2 to 5
    book.sums[:] = torch.randn(K, D, generator=torch.Generator().manual_seed(9)) * book.sizes[:, None]
    alive = codebook(seen=3 * K + 2)
    alive.sizes.copy_(book.sizes), alive.sums.copy_(book.sums)
    followed(book, z)
    for code, image in ((3, 1), (5, 3)):
        assert (z[image] - book.vectors()[code]).abs().amax(1).min() < 1e-6
        assert book.sizes[code] == pytest.approx(2 * 0.2 * T / K)
    followed(alive, z)
    for code in (0, 1, 2, 4, 6, 7):  # code 1 is dead as well, and has to wait for its turn
        torch.testing.assert_close(book.vectors()[code], alive.vectors()[code])


def test_outputs_far_from_their_codes_are_offered_by_their_squared_distance() -> None:
    """Of 4,000 images with distances² 1, 4, 0 and 5 to the only code: shares to 4 standard errors of 0.008."""
    n = 4000
    book = codebook(seen=0)
    distances = torch.tensor([1.0, 4.0, 0.0, 5.0]).expand(n, T)
    z = torch.arange(4.0).view(1, T, 1).expand(n, T, D)  # a vector says which it is
    found = [0] * T
    for i, part in enumerate(z.split(K)):
        offers, offered = book._offers(part, distances[: len(part)], Noise.seeded(i), torch.arange(K))
        assert offered.all()
        for position in offers[:, 0].tolist():
            found[int(position)] += 1
    np.testing.assert_allclose(np.array(found) / n, [0.1, 0.4, 0, 0.5], atol=0.032)


def test_perplexity_and_use_are_those_of_the_use() -> None:
    book = codebook(decay=0.9)
    book.usage[:] = torch.tensor([2.0, 2, 2, 2, 0, 0, 0, 0])
    perplexity, used = book.spread(10)
    assert (float(perplexity), float(used)) == pytest.approx((4, 0.5))
    book.usage[:4] = torch.tensor([4.0, 2, 1, 1])
    by_hand = math.exp(-sum(p * math.log(p) for p in (0.5, 0.25, 0.125, 0.125)))
    assert float(book.spread(10)[0]) == pytest.approx(by_hand)
    book.usage[:] = 0
    assert float(book.spread(10)[0]) == 1
    book.usage[3] = 0.1 / 10  # one position of ten images, a step ago
    assert float(book.spread(10)[1]) == pytest.approx(1 / K)
    book.usage *= 0.9**20
    assert float(book.spread(10)[1]) == 0


def test_a_revival_is_no_use() -> None:
    book = codebook(revival=0.9, seen=0)
    z = torch.zeros(K, T, D)
    codes = followed(book, z)
    assert ((book.usage > 0).nonzero().flatten() == codes[0, 0]).all()
    assert (book.sizes == 1.8 * T / K).all()


# ------------------------------------------------------------------------------------------------------ the autoencoder


def losses(model: VQVAE, x: Tensor) -> dict[str, float]:
    found = model.of_images([Batch(x)], lambda *_: None, Noise.seeded(0), torch.zeros(()))
    return {name: loss.item() for name, loss in found.items()}


def test_the_loss_is_equation_3_by_hand() -> None:
    model, x = vq_vae(commitment=0.7), images(5)
    with torch.no_grad():
        z = model.encoder(x)  # (5, D, 4, 4)
        codes = model.encode(x)
        e = model.codebook.vectors()[codes].permute(0, 3, 1, 2)
        variance = 1 / 3 - 1 / 4  # of uniform pixels, before any are seen
        reconstruction = (x - (model.decoder(e) + 0.5)).square().mean() / variance
        commitment = 0.7 * (z - e).square().mean()
    found = losses(model, x)
    assert found["reconstruction"] == pytest.approx(float(reconstruction), rel=1e-5)
    assert found["commitment"] == pytest.approx(float(commitment), rel=1e-5)
    assert found["loss"] == pytest.approx(float(reconstruction + commitment), rel=1e-5)


def test_errors_are_divided_by_the_variance_of_all_pixels_so_far() -> None:
    model = vq_vae()
    first, second = images(6), images(6, 1) ** 2
    losses(model, first)
    losses(model, second)
    pixels = torch.cat([first, second])
    assert float(model.pixel_square - model.pixel_mean**2) == pytest.approx(float(pixels.var(correction=0)), rel=1e-4)


def test_gradients_pass_straight_through_the_codes() -> None:
    """The encoder's gradient is that of the decoder's input, and of the commitment; the codes have none."""
    model, x = vq_vae(), images(3)
    z, codes, _ = model._found(x)
    z.retain_grad()
    terms = model._errors(x, z, codes)
    (terms["reconstruction"] + terms["commitment"]).sum().backward()
    e = torch.nn.functional.embedding(codes, model.codebook.vectors()).requires_grad_()
    raw = model._raw(e)
    variance = model.pixel_square - model.pixel_mean**2
    ((x - 0.5 - raw).square().flatten(1).mean(1) / variance).sum().backward()
    of_commitment = 0.25 * 2 * (z - e).detach() / (z.shape[1] * z.shape[2])
    torch.testing.assert_close(z.grad, e.grad + of_commitment, rtol=1e-4, atol=1e-7)


def test_images_are_reconstructed_from_codes_alone() -> None:
    model, x = vq_vae().eval(), images(3)
    codes = model.encode(x)
    assert codes.shape == (3, 4, 4) and codes.dtype == torch.int64
    torch.testing.assert_close(model.images(codes), model.reconstruct(x))
    assert not isinstance(model, HasLatents)  # latents that are encoded and decoded would have to be drawn as well


# ------------------------------------------------------------------------------------------------------------ the prior


def transformer(classes: int = 0) -> Transformer:
    torch.manual_seed(1)
    found = Transformer(5, 6, 8, 2, 4, classes)
    for weight in found.parameters():
        nn.init.normal_(weight, std=0.5)  # far from an even distribution
    return found.eval()


def test_no_logits_depend_on_codes_that_come_later() -> None:
    net, codes = transformer(), torch.randint(5, (1, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = net(codes)
        for t in range(6):
            other = codes.clone()
            other[0, t] = (other[0, t] + 1) % 5
            moved = (net(other) - before).abs().amax(-1)[0] > 1e-6
            assert moved.tolist() == [False] * (t + 1) + [True] * (5 - t)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_codes_are_drawn_by_the_probabilities_that_are_trained(temperature: float) -> None:
    """With keys and values kept, one after another, the codes are those of the whole pass over them."""
    net, chances = transformer(), torch.rand(64, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = net.draw(chances, None, temperature)
        cumulated = (net(codes).double() / temperature).softmax(-1).cumsum(-1)  # (B, T, K)
    expected = (cumulated < chances.double()[..., None]).sum(-1)
    assert torch.equal(codes, expected) and len(codes.unique()) > 3


def test_labels_of_a_prior_take_the_place_of_its_start() -> None:
    net, chances = transformer(classes=3), torch.rand(3, 6)
    with torch.no_grad():
        mixed = net.draw(chances, torch.tensor([2, 0, 2]))
        for row, label in enumerate((2, 0, 2)):
            alone = net.draw(chances[row : row + 1], torch.tensor([label]))
            assert torch.equal(mixed[row], alone[0])
        logits = net(mixed, torch.tensor([2, 0, 2]))
        assert not torch.allclose(logits[0, 0], logits[1, 0]) and torch.allclose(logits[0, 0], logits[2, 0])


def test_the_loss_of_the_prior_is_per_code_and_moves_it_alone() -> None:
    model, x, updated = vq_vae(), images(4), []
    with torch.no_grad():
        codes = model.eval().encode(x).flatten(1)
    model.train()
    with torch.no_grad():
        chances = model.prior(codes).log_softmax(-1)
        by_hand = -sum(chances[b, t, codes[b, t]] for b in range(4) for t in range(16)) / (4 * 16)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    found = model.of_codes([Batch(x)], lambda name, loss: updated.append(name), Noise.seeded(0), torch.zeros(()))
    assert float(found["prior"].detach()) == pytest.approx(float(by_hand), rel=1e-5)
    assert updated == ["prior"]
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


@pytest.mark.parametrize(
    ("epochs", "share", "expected"),
    [(10, 0.5, [5, 5]), (10, 0.25, [8, 2]), (2, 0.9, [1, 1]), (3, 0.01, [2, 1]), (1, 0.5, [1])],
)
def test_the_prior_has_its_share_of_the_epochs(epochs: int, share: float, expected: list[int]) -> None:
    stages = vq_vae(epochs=epochs, prior_share=share).stages()
    assert [part.epochs for part in Plan.of(stages, 8, 2, epochs).parts] == expected
    assert stages[0].step.__name__ == ("of_images" if epochs > 1 else "both")


# ------------------------------------------------------------------------------------------------------------- in a run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cf.Run:
    pictures = np.random.default_rng(0).integers(0, 256, (64, *SHAPE), np.uint8)
    settings = {**MODELS["vq-vae"].small, "epochs": 2, "batch_size": 16, "quiet": True, "log_every": 1}
    return cf.train("vq-vae", pictures, out=tmp_path_factory.mktemp("vq") / "run", **settings)


def test_a_run_logs_the_use_of_the_codes_then_the_prior(run: cf.Run) -> None:
    rows = [row for row in run.log if "images_per_s" in row]
    assert len(rows) == 8
    for row in rows[:4]:
        assert {"loss", "reconstruction", "commitment", "perplexity", "used"} <= row.keys() and "prior" not in row
        assert 1 <= row["perplexity"] <= 16 and 0 <= row["used"] <= 1
    assert all("prior" in row and "perplexity" not in row for row in rows[4:])


def test_samples_of_even_codes_and_of_other_temperatures_are_others(run: cf.Run) -> None:
    usual = run.sample(20, seed=2)
    assert not np.array_equal(run.with_sampling(prior="uniform").sample(20, seed=2), usual)
    cold = run.with_sampling(temperature=1e-3)
    assert (cold.sample(20, seed=2) == cold.sample(1, seed=5)).all(), "nearly only the likeliest codes are left"
    np.testing.assert_array_equal(run.with_sampling(temperature=1.0).sample(20, seed=2), usual)


def test_codes_of_even_chances_are_even() -> None:
    model, seen = vq_vae(), []
    model.images = lambda codes: seen.append(codes) or torch.zeros(len(codes), *SHAPE)
    model.sample(2000, None, Noise.seeded(0), VQVAESampling("uniform"))
    shares = torch.bincount(seen[0].flatten(), minlength=16) / seen[0].numel()
    np.testing.assert_allclose(shares, 1 / 16, atol=0.0055)  # 4 standard errors of 32,000 codes


def test_a_run_encodes_to_codes(run: cf.Run) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), np.uint8)
    codes = run.encode(pictures)
    assert codes.shape == (5, 4, 4) and codes.dtype == np.int64 and codes.max() < 16
    np.testing.assert_array_equal(sampling.reconstruct(run.model, pictures, None), run.reconstruct(pictures))


def test_settings_out_of_range_are_refused() -> None:
    wrong = {"codes": 0, "decay": 1.0, "revival": 1.0, "prior_share": 1.0, "prior_width": 30, "commitment": -1.0}
    for name, value in wrong.items():
        with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is {value}; it must be"):
            VQVAESettings().replace({name: value})
    with pytest.raises(InputError, match="--temperature is 0.0; it must be a positive number"):
        VQVAESampling(temperature=0.0)
    with pytest.raises(InputError, match="multiples of 4"):
        build_named("vq-vae", (1, 30, 30))


def test_a_temperature_of_even_codes_is_refused(run: cf.Run) -> None:
    with pytest.raises(InputError, match="--temperature is for --prior learned"):
        run.with_sampling(prior="uniform", temperature=0.5)


def test_of_one_epoch_every_step_trains_both(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (32, *SHAPE), np.uint8)
    settings = {**MODELS["vq-vae"].small, "batch_size": 16, "quiet": True, "epochs": 1}
    (row,) = (row for row in cf.train("vq-vae", pictures, out=tmp_path / "run", **settings).log if "prior" in row)
    assert {"loss", "perplexity", "prior"} <= row.keys()


# conv: kernel² · in · out (+ out); each residual block 9·64·32 + 32·64
CODER = 16 * 32 + 32 + 16 * 32 * 64 + 64 + 9 * 64 * 64 + 64 + 2 * (9 * 64 * 32 + 32 * 64) + 64 * 64
DECODER = 9 * 64 * 64 + 64 + 2 * (9 * 64 * 32 + 32 * 64) + 16 * 64 * 32 + 32 + 16 * 32 + 1
W = 96
PRIOR = 3 * (12 * W * W + 9 * W + 4 * W) + 512 * W + W + 49 * W + 2 * W + 512 * W + 512


def test_parameter_counts() -> None:
    sizes = {}
    for name, shape in (("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))):
        with torch.device("meta"):
            networks = build_named("vq-vae", shape).networks()
        sizes[name] = [sum(p.numel() for p in net.parameters()) for net in networks.values()]
    assert sizes["mnist"] == [CODER + DECODER, PRIOR]
    assert sizes["cifar10"] == [CODER + 2 * 512 + DECODER + 2 * 512 + 2, PRIOR + 15 * W]


def test_a_run_of_one_epoch_has_no_parts_and_cannot_become_one_that_has(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), np.uint8)
    small = {**MODELS["vq-vae"].small, "batch_size": 8, "quiet": True}
    cf.train("vq-vae", images, epochs=1, **small, out=tmp_path / "run")
    with pytest.raises(RunError, match="whose stages are shares of its length, so it cannot be made longer"):
        cf.train("vq-vae", images, resume=True, steps=15, quiet=True, out=tmp_path / "run")
