"""Fitted samplers: the mixture against closed forms and PyTorch's own, and how a run keeps and uses one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import counterfeit as cf
from counterfeit import detectors
from counterfeit.errors import DataError, InputError
from counterfeit.models import MODELS
from counterfeit.models.ae import LatentSampling
from counterfeit.models.base import Encodes, HasLatents
from counterfeit.models.build import build
from counterfeit.runs import samplers as kept_samplers
from counterfeit.samplers import SecondStage, mixture, two_stage
from counterfeit.samplers.mixture import Mixture
from counterfeit.scoring import Scorer
from counterfeit.system.distributed import ALONE
from counterfeit.system.noise import Noise

RNG = np.random.default_rng(0)
PLANTED = Mixture(
    np.array([0.7, 0.3]),
    np.array([[5.0, 0.0, 1.0], [-5.0, -5.0, 0.0]]),
    np.stack([np.tril([[1.0, 0, 0], [0.5, 2.0, 0], [0.1, -0.3, 0.5]]), np.eye(3)]),
)


def drawn(mixture: Mixture, n: int, seed: int = 0) -> np.ndarray:
    return mixture.noise(n, Noise.seeded(seed)).double().numpy()


def test_one_component_is_the_mean_and_the_covariance() -> None:
    codes = RNG.normal(size=(500, 4)) @ RNG.normal(size=(4, 4)) + 3
    found = Mixture.fit(codes, 1)
    np.testing.assert_allclose(found.means[0], codes.mean(axis=0), rtol=1e-10)
    covariance = found.factors[0] @ found.factors[0].T
    # to the ridge, a millionth of the mean variance
    np.testing.assert_allclose(covariance, np.cov(codes.T, ddof=0), atol=2e-6 * codes.var(axis=0).mean())


def test_density_is_pytorchs() -> None:
    codes = torch.from_numpy(RNG.normal(size=(50, 3)) * 4)
    parts = MultivariateNormal(torch.from_numpy(PLANTED.means), scale_tril=torch.from_numpy(PLANTED.factors))
    expected = MixtureSameFamily(Categorical(torch.from_numpy(PLANTED.weights)), parts).log_prob(codes)
    np.testing.assert_allclose(PLANTED.log_density(codes.numpy()), expected.numpy(), rtol=1e-10)


def test_a_planted_mixture_is_found() -> None:
    """From 20,000 draws: weights to 0.01, which is 3 standard errors; means and factors to some hundredths."""
    found = Mixture.fit(drawn(PLANTED, 20_000), 2)
    order = np.argsort(-found.weights)
    np.testing.assert_allclose(found.weights[order], PLANTED.weights, atol=0.01)
    np.testing.assert_allclose(found.means[order], PLANTED.means, atol=0.06)
    np.testing.assert_allclose(found.factors[order], PLANTED.factors, atol=0.06)


def test_every_round_raises_the_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    """The theorem of Dempster et al.; the ridge may cost a millionth."""
    codes = RNG.normal(size=(400, 2)) ** 3
    monkeypatch.setattr(mixture, "ENOUGH", -np.inf)
    found = []
    for rounds in range(12):
        monkeypatch.setattr(mixture, "MOST_ROUNDS", rounds)
        found.append(Mixture.fit(codes, 4).log_density(codes).mean())
    assert (np.diff(found) > -1e-6).all() and found[-1] > found[0] + 0.1


@pytest.mark.parametrize(
    "codes",
    {
        "one point": np.ones((40, 3)),
        "two points": np.repeat(np.eye(2, 3), 20, axis=0),
        "a line": np.outer(np.arange(40.0), np.ones(3)),
        "huge": 1e30 * RNG.normal(size=(40, 3)),
        "tiny": 1e-30 * RNG.normal(size=(40, 3)),
    }.values(),
)
@pytest.mark.parametrize("components", [1, 5])
def test_codes_without_spread_give_a_mixture_of_finite_numbers(codes: np.ndarray, components: int) -> None:
    found = Mixture.fit(codes, components)
    assert all(np.isfinite(array).all() for array in vars(found).values())
    assert found.weights.sum() == pytest.approx(1)
    assert np.isfinite(drawn(found, 10)).all()


def test_what_cannot_be_fitted_is_told() -> None:
    with pytest.raises(InputError, match="not finite"):
        Mixture.fit(np.array([[np.nan, 1.0]] * 40), 1)
    with pytest.raises(InputError, match="5 images are too few to fit 3 Gaussians to: pass fewer"):
        Mixture.fit(RNG.normal(size=(5, 2)), 3)


def test_draws_have_the_mixtures_moments_and_are_seeded() -> None:
    """Of 100,000 draws: mean and covariance to 4 standard errors."""
    n = 100_000
    found = drawn(PLANTED, n)
    mean = PLANTED.weights @ PLANTED.means
    parts = PLANTED.factors @ PLANTED.factors.transpose(0, 2, 1) + np.einsum("ki,kj->kij", PLANTED.means, PLANTED.means)
    covariance = np.einsum("k,kij->ij", PLANTED.weights, parts) - np.outer(mean, mean)
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - mean), 4 * spread / n**0.5)
    np.testing.assert_allclose(
        np.cov(found.T) / np.outer(spread, spread), covariance / np.outer(spread, spread), atol=0.02
    )
    np.testing.assert_array_equal(found, drawn(PLANTED, n))
    assert not np.array_equal(found, drawn(PLANTED, n, seed=1))


# ------------------------------------------------------------------------------------------------------------ in a run

SMALL = {"epochs": 1, "batch_size": 20, "latent": 3, "encoder_width": 16, "decoder_width": 16, "quiet": True}
GMM = {"sampler": "gmm", "components": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an .npz file, which it can read again."""
    home = tmp_path_factory.mktemp("samplers")
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), np.uint8)
    np.savez(home / "own.npz", images=images)
    cf.train("vae", home / "own.npz", out=home / "run", **SMALL)
    return home / "run"


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> cf.Run:
    return cf.load(shutil.copytree(folder, tmp_path / "run"))


def test_samples_are_decoded_draws_and_do_not_depend_on_the_batch(run: cf.Run) -> None:
    other = run.with_sampling(**GMM)
    images = other.sample(200, seed=3)
    np.testing.assert_array_equal(images, np.concatenate(list(other.sample_batches(200, seed=3, batch_size=7))))
    np.testing.assert_array_equal(images[:50], other.sample(50, seed=3))
    np.testing.assert_array_equal(images, other.decode(other.noise(200, seed=3)))
    assert not np.array_equal(images, run.sample(200, seed=3))
    np.testing.assert_array_equal(run.sample(20), cf.load(run.path).sample(20))  # its own are as before


def test_it_is_fitted_to_draws_of_the_codes(run: cf.Run) -> None:
    """Of a VAE, the aggregated posterior: the codes' variance is that of the means plus the posteriors' own."""
    assert run.with_sampling(sampler="gaussian").sampler is not None
    fitted = run.with_sampling(sampler="gaussian").sampler
    means = run.encode(run.real("train").images)
    own = (fitted.factors[0] @ fitted.factors[0].T).diagonal()
    # An untrained posterior is about as wide as N(0, 1), and 200 draws tell its variance to a tenth.
    assert (own > means.var(axis=0) + 0.3).all()
    np.testing.assert_allclose(fitted.means[0], means.mean(axis=0), atol=0.4)


def test_it_is_fitted_once_and_kept(run: cf.Run, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    first = run.with_sampling(**GMM).sample(20)
    assert "fitting 3 Gaussians to the codes of 200 training images" in capsys.readouterr().err
    monkeypatch.setattr(Mixture, "fit", None)  # calling it would fail
    np.testing.assert_array_equal(cf.load(run.path).with_sampling(**GMM).sample(20), first)
    assert len(list((run.path / "samplers").iterdir())) == 1


DAMAGE = {
    "cut": lambda content: content[:-9],
    "empty": lambda content: b"",
    "no safetensors": lambda content: b"x" * 200,
    "a bit": lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    "of other code": lambda content: content.replace(b'"code":"', b'"code":"0', 1).replace(b'"}', b"}", 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_named_and_fitted_anew(run: cf.Run, damage: str, capsys) -> None:
    first = run.with_sampling(**GMM).sample(20)
    (path,) = (run.path / "samplers").iterdir()
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    again = cf.load(run.path).with_sampling(**GMM)
    np.testing.assert_array_equal(again.sample(20), first)
    assert f"{path} cannot be used" in capsys.readouterr().err


def test_other_weights_have_another(run: cf.Run) -> None:
    before = run.with_sampling(**GMM).sampler
    cf.train("vae", run.config.data, out=run.path, resume=True, **{**SMALL, "epochs": 2})
    after = cf.load(run.path).with_sampling(**GMM).sampler
    assert before is not None and after is not None
    assert not np.array_equal(before.means, after.means)


def test_a_folder_that_cannot_be_written_costs_the_keeping_only(run: cf.Run, capsys) -> None:
    (run.path / "samplers").write_text("in the way")
    first = run.with_sampling(**GMM).sample(5)
    assert "the fitted sampler is not kept" in capsys.readouterr().err
    np.testing.assert_array_equal(cf.load(run.path).with_sampling(**GMM).sample(5), first)


def test_receipts_say_by_what_the_latents_were_drawn(run: cf.Run) -> None:
    settings = {"real": run.config.data, "detector": "mnist-cnn", "metrics": "fid", "n": 20}
    own = run.score(**settings).receipt["generated"]
    assert "sampling" not in own and "sampler_sha256" not in own
    fitted = run.with_sampling(**GMM)
    found = fitted.score(**settings).receipt["generated"]
    assert found["sampling"] == GMM
    assert found["sampler_sha256"] == kept_samplers.digest(fitted.sampler)
    assert run.with_sampling(sampler="gaussian").options.to_dict() == {"sampler": "gaussian"}


def test_a_run_of_an_array_is_given_its_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8)
    run = cf.train("ae", images, out=tmp_path / "run", **SMALL).with_sampling(**GMM)
    with pytest.raises(InputError, match=r"store: fit it in Python: with_sampling\(sampler='gmm'\).fit_sampler"):
        run.sample(4)
    with pytest.raises(DataError, match="was trained on other images"):
        run.fit_sampler(images[::-1])
    first = run.fit_sampler(images).sample(4)
    np.testing.assert_array_equal(cf.load(run.path).with_sampling(**GMM).sample(4), first)
    with pytest.raises(InputError, match="ask for a sampler first"):
        cf.load(run.path).fit_sampler(images)


def test_images_that_have_changed_are_not_fitted_to(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8))
    run = cf.train("ae", path, out=tmp_path / "run", **SMALL).with_sampling(**GMM)
    np.savez(path, images=np.zeros((60, 1, 8, 8), np.uint8))
    with pytest.raises(DataError, match="was trained on other images"):
        run.sample(4)
    assert not (run.path / "samplers").exists()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_option_if_it_encodes_to_vectors(name: str) -> None:
    spec = MODELS[name]
    model = build(spec, spec.settings.replace(spec.small), (1, 28, 28), 10)
    able = isinstance(model, Encodes) and isinstance(model, HasLatents) and len(model.latent_shape) == 1
    assert isinstance(spec.sampling, LatentSampling) == able


def test_options_that_decide_nothing_are_refused(run: cf.Run, command) -> None:
    with pytest.raises(InputError, match="--components is 0"):
        LatentSampling("gmm", 0)
    for sampler in ("own", "gaussian", "two-stage"):
        with pytest.raises(InputError, match=f"--components is for --sampler gmm, and it is {sampler}"):
            run.with_sampling(sampler=sampler, components=5)
        assert command("sample", run.path, "--sampler", sampler, "--components", 5).code == 2
    assert run.with_sampling(**GMM).with_sampling(sampler="gaussian").options.fitted == ("mixture", 1)


def test_processes_that_score_together_draw_from_one_fit(run: cf.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would fit its own, and the last digits of a fit depend on the processor."""
    fitted = run.with_sampling(**GMM)
    first = fitted.sampler
    other = run.with_sampling(**GMM)

    class Second(type(ALONE)):
        def by_first(self, work):
            asked = getattr(getattr(work, "__code__", None), "co_names", ())
            return first if "sampler" in asked else work()

    scorer = Scorer(detectors.load("mnist-cnn"), run.real("train"), group=Second())
    monkeypatch.setattr(Mixture, "fit", None)  # calling it would fail
    shutil.rmtree(run.path / "samplers")
    other.score(scorer=scorer, n=20, metrics=["fid"])
    assert other.sampler is first


# ----------------------------------------------------------------------------------------------------- the second stage


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second VAE that is narrow and soon trained."""
    monkeypatch.setattr(two_stage, "WIDTH", 32)


def test_a_second_vae_has_the_moments_of_its_codes_and_is_seeded(quick: None) -> None:
    """Of Gaussian codes, which it can model exactly; it is trained for some seconds only, so to a tenth."""
    mix = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 0.1]])
    codes = np.random.default_rng(0).normal(size=(6000, 3)) @ mix.T + [5.0, 0.0, -2.0]
    before = torch.random.get_rng_state()
    found = SecondStage.fit(codes)
    assert torch.equal(torch.random.get_rng_state(), before), "it draws from a generator of its own"
    z = found.noise(20_000, Noise.seeded(0)).double().numpy()
    spread = codes.std(axis=0)
    np.testing.assert_array_less(np.abs(z.mean(axis=0) - codes.mean(axis=0)), 0.1 * spread)
    np.testing.assert_allclose(np.corrcoef(z.T), np.corrcoef(codes.T), atol=0.1)
    np.testing.assert_allclose(z.std(axis=0), spread, rtol=0.1)
    np.testing.assert_array_equal(z, found.noise(20_000, Noise.seeded(0)).double().numpy())


def test_a_second_vae_is_its_arrays(quick: None) -> None:
    found = SecondStage.fit(RNG.normal(size=(300, 4)))
    other = SecondStage.read(found.arrays())
    assert {name: (a.dtype, tuple(a.shape)) for name, a in found.arrays().items()} == SecondStage.forms(4)
    assert torch.equal(found.noise(9, Noise.seeded(1)), other.noise(9, Noise.seeded(1)))


@pytest.mark.parametrize("codes", [np.ones((40, 3)), 1e30 * RNG.normal(size=(40, 3)), RNG.normal(size=(2, 3))])
def test_a_second_vae_of_odd_codes_draws_finite_numbers(codes: np.ndarray, quick: None) -> None:
    drawn = SecondStage.fit(codes).noise(10, Noise.seeded(0)).numpy()
    assert np.isfinite(drawn).all()
    if (codes == 1).all():
        np.testing.assert_array_equal(drawn, 1)  # a latent that is the same for all images stays that


def test_a_second_vae_of_what_cannot_be_fitted_is_told() -> None:
    with pytest.raises(InputError, match="not finite"):
        SecondStage.fit(np.array([[np.inf, 1.0]] * 40))
    with pytest.raises(InputError, match="1 images are too few"):
        SecondStage.fit(np.ones((1, 3)))


def test_the_terms_are_those_of_the_elbo(quick: None) -> None:
    """With the best γ, N log N(z; g(u), γ² I) is -N Z / 2 (log(2 π γ²) + 1), and the KL is torch.distributions' own."""
    torch.manual_seed(0)
    vae, z = two_stage._VAE(3), torch.randn(50, 3)
    mean, log_var = vae.encoder(z).chunk(2, dim=1)
    torch.manual_seed(1)
    square, kl = vae.terms(z)
    torch.manual_seed(1)
    u = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum() / 50
    torch.testing.assert_close(kl, expected)
    likelihood = torch.distributions.Normal(vae.decoder(u), square.sqrt()).log_prob(z).sum() / 50
    nll = 0.5 * 3 * (square.log() + 1 + np.log(2 * np.pi))
    torch.testing.assert_close(-likelihood, nll, rtol=1e-5, atol=1e-4)  # TINY beside the mean square
    torch.manual_seed(1)
    torch.testing.assert_close(vae.loss(z, 0.5), 1.5 * square.log() + 0.5 * kl)


def test_a_run_keeps_its_second_vae(run: cf.Run, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    other = run.with_sampling(sampler="two-stage")
    images = other.sample(30, seed=1)
    np.testing.assert_array_equal(images, other.decode(other.noise(30, seed=1)))
    (path,) = (run.path / "samplers").glob("two-stage-*.safetensors")
    monkeypatch.setattr(SecondStage, "fit", None)  # calling it would fail
    np.testing.assert_array_equal(cf.load(run.path).with_sampling(sampler="two-stage").sample(30, seed=1), images)
    receipt = other.score(n=20, metrics=["fid"], detector="mnist-cnn").receipt["generated"]
    assert receipt["sampling"] == {"sampler": "two-stage"} and receipt["sampler_sha256"]
    assert path.stat().st_size < 1_000_000
