"""Exported generators: plain layers make our images, what differs is refused, faults are one line.

The formats themselves are written and read in `make export`: each takes PyTorch's compiler some seconds.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import counterfeit as cf
from counterfeit.data.pixels import to_uint8
from counterfeit.errors import DataError, InputError, RunError
from counterfeit.exporting import exported, formats, generator, runtime
from counterfeit.exporting.draws import NORMAL, OWN, UNIFORM, draws
from counterfeit.exporting.generator import Generator, check_exportable, drop_unused
from counterfeit.exporting.page import write_page
from counterfeit.exporting.plain import PLAIN, plain
from counterfeit.exporting.proof import CHECKED, Cases, proved
from counterfeit.models import MODELS
from counterfeit.models.base import HasLatents, Model
from counterfeit.models.build import build
from loop_cases import can

WITH_LATENTS = [name for name, spec in MODELS.items() if spec.based_on is None and can(name, HasLatents)]
FEW = {"vae": {"encoder_width": 8, "decoder_width": 8}}


def small(name: str) -> Model:
    spec = MODELS[name]
    model = build(spec, spec.settings.replace({**spec.small, **FEW.get(name, {})}), (1, 28, 28), 10).eval()
    torch.manual_seed(1)
    for weights in model.parameters():  # some layers begin at 0, where nothing could differ
        weights.data.add_(torch.randn_like(weights), alpha=0.02)
    return model


def drawn(model: Model, n: int = 5) -> list[torch.Tensor]:
    return [torch.randn(n, *model.latent_shape), *([torch.arange(n) % 10] if model.classes else [])]


@pytest.mark.parametrize("name", WITH_LATENTS)
def test_plain_layers_make_the_same_images(name: str) -> None:
    model, options = small(name), MODELS[name].sampling
    given, before = drawn(model), {key: value.clone() for key, value in model.state_dict().items()}
    made = Generator(model, options)
    drop_unused(made, given)
    with torch.inference_mode():
        ours, plainly = to_uint8(model.decode(*given, options=options)), made(*given)
    assert (ours.int() - plainly.int()).abs().max() <= 1
    assert ours.float().std() > 1
    assert not any(type(layer) in PLAIN for layer in made.modules())
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_layers_that_no_image_passes_are_not_in_the_file() -> None:
    model = small("vae")
    made = Generator(model, MODELS["vae"].sampling)
    drop_unused(made, drawn(model))
    kept = sum(weights.numel() for weights in made.parameters())
    assert kept == sum(weights.numel() for weights in model.decoder.parameters())


class Unusual(nn.Module):
    """Decodes by weights of a list, of a layer that is read only, or of one that another shares."""

    latent_shape = (4,)

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.listed = way, nn.ParameterList([torch.randn(4, 4)])
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(4, 4)
        self.unused = nn.Linear(4, 100)
        if way == "tied":
            self.decoder.weight = self.encoder.weight

    def noise(self, n: int, rng: object) -> Tensor:
        return torch.randn(n, 4)

    def decode(self, z: Tensor, y: Tensor | None = None, options: object = None) -> Tensor:
        ways = {
            "list": lambda: z @ self.listed[0],
            "read": lambda: z @ self.encoder.weight,
            "summed": lambda: z * self.listed[0].sum(),  # which raises nothing for weights that are empty
            "tied": lambda: self.decoder(z),
        }
        return ways[self.way]().reshape(-1, 1, 2, 2).sigmoid()


@pytest.mark.parametrize("way", ["list", "read", "summed", "tied"])
def test_weights_of_layers_that_are_not_called_are_kept_where_they_are_used(way: str) -> None:
    model, z = Unusual(way), torch.randn(3, 4)
    made = Generator(model, MODELS["vae"].sampling)
    drop_unused(made, [z])
    assert torch.equal(made(z), to_uint8(model.decode(z)))
    assert (made.model.unused.weight.numel() == 0) == (way == "tied")


def test_weights_that_are_computed_are_numbers() -> None:
    model = small("sngan")
    discriminator = plain(model).discriminator
    assert any("parametrizations" in name for name, _ in model.named_parameters())
    assert not any("parametrizations" in name for name, _ in discriminator.named_parameters())
    x = torch.rand(3, 1, 28, 28)
    with torch.inference_mode():
        torch.testing.assert_close(discriminator(x), model.discriminator(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "expected"), [("vae", NORMAL), ("gan", UNIFORM), ("r3gan", NORMAL), ("flow", NORMAL), ("ae", OWN)]
)
def test_how_latents_are_drawn_is_found(name: str, expected: str) -> None:
    model = small(name)
    for moments in (of for part, of in model.named_buffers() if part == "second"):
        moments.mul_(2)  # of an autoencoder's codes, which are standard normal until it has seen some
    assert draws(model) == expected


def cases() -> Cases:
    images = np.random.default_rng(0).integers(0, 254, (CHECKED, 1, 2, 2), np.uint8)
    return Cases({"latents": np.arange(CHECKED, dtype=np.float32)[:, None]}, images)


def test_one_level_is_allowed_and_two_are_not() -> None:
    given, seen = cases(), []

    def off_by(levels: int, place: int = 200):
        def made(inputs: dict[str, np.ndarray]) -> np.ndarray:
            rows = inputs["latents"][:, 0].astype(int)
            seen.append(len(rows))
            return given.images[rows] + (levels * (rows == place)[:, None, None, None]).astype(np.uint8)

        return made

    assert str(proved(off_by(0), given, "it")) == "no pixel differs from ours on 256 images"
    assert sorted(seen) == [1, 64, 191]  # rows of any number
    assert "at most 1 level of 255 from ours on 256 images, in 0.0039" in str(proved(off_by(1), given, "it"))
    with pytest.raises(RunError, match="at most 2 levels of 255"):
        proved(off_by(2), given, "it")
    with pytest.raises(RunError, match="float64"):
        proved(lambda inputs: given.images[inputs["latents"][:, 0].astype(int)] / 1.0, given, "it")


def test_what_cannot_be_exported_is_said(monkeypatch) -> None:
    monkeypatch.setattr(generator, "able", lambda capability: "vae or gan")  # which builds every model
    with pytest.raises(InputError, match="vq-vae cannot be exported.*: vae or gan can be exported"):
        check_exportable("vq-vae", small("vq-vae"), MODELS["vq-vae"].sampling)
    many = MODELS["flow"].sampling_with({"steps": 1000})
    with pytest.raises(InputError, match="--steps 1000: every step"):
        check_exportable("flow", small("flow"), many)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a tiny trained VAE."""
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
    tiny = {"latent": 4, "encoder_width": 4, "decoder_width": 4, "batch_size": 16, "epochs": 1}
    home = tmp_path_factory.mktemp("export")
    return cf.train("vae", images, out=home / "run", quiet=True, device="cpu", **tiny).path


def test_faults_are_one_line(finished, command, tmp_path, monkeypatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    for words, says in (
        (["--out", "g.npz"], "no .onnx file: pass --out generator.onnx"),
        (["--to", "web", "--out", "there"], "already exists: pass a new folder"),
        (["--to", "torchscript"], "--to"),
        (["--steps", "3"], "--steps"),
    ):
        outcome = command("export", finished, *words)
        assert outcome.code == 2 and says in outcome.err and "Traceback" not in outcome.err
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else object())
    outcome = command("export", finished)
    assert outcome.code == 2 and "needs onnxscript, which is missing: pip install 'counterfeit[export]'" in outcome.err
    assert not (finished / "exports").exists() and (tmp_path / "there" / "mine.txt").read_text() == "mine"


def test_an_npz_of_something_else_is_not_written_over(finished, command, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(exported, "recorded", lambda *of: pytest.fail("it was begun"))
    np.savez(tmp_path / "faces.npz", images=np.zeros((2, 8, 8), np.uint8))
    (tmp_path / "text.npz").write_text("no zip")
    before = (tmp_path / "faces.npz").read_bytes()
    for name in ("faces.onnx", "faces.pt2", "text.onnx"):
        (tmp_path / "faces.pt2").write_bytes(b"of another program")
        outcome = command("export", finished, "--to", name.rpartition(".")[2], "--out", tmp_path / name)
        assert outcome.code == 2 and ".npz already exists and is not of an export" in outcome.err
    assert (tmp_path / "faces.npz").read_bytes() == before
    exported._write_cases(tmp_path / "mine.npz", cases())
    assert exported._place(cf.load(finished), "pt2", tmp_path / "mine.pt2") == tmp_path / "mine.pt2"


def test_a_file_that_makes_other_images_is_not_written(finished, command, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(formats, "pt2", lambda *of: b"")
    monkeypatch.setattr(exported, "recorded", lambda *of: None)
    monkeypatch.setattr(
        formats, "by_torch", lambda program: lambda inputs: np.zeros((len(inputs["latents"]), 1, 28, 28), np.uint8)
    )
    outcome = command("export", finished, "--to", "pt2", "--out", tmp_path / "g.pt2")
    assert outcome.code == 2 and "does not make the run's images" in outcome.err
    assert list(tmp_path.iterdir()) == []


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/dist/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_the_runtime_is_fetched_once_and_known_by_its_digest(cache, monkeypatch) -> None:
    packed = archive(**{name: name.encode() for name in runtime.FILES})
    fetched = []

    def npm(package, version, folder):
        fetched.append((package, version))
        (folder / "x.tgz").write_bytes(packed)
        return folder / "x.tgz"

    monkeypatch.setattr(runtime, "npm_pack", npm)
    with pytest.raises(DataError, match="has not the SHA-256"):
        runtime.runtime()
    monkeypatch.setattr(runtime, "SHA256", hashlib.sha256(packed).hexdigest())
    assert runtime.runtime() == runtime.runtime() == tuple(name.encode() for name in runtime.FILES)
    assert fetched == [("onnxruntime-web", runtime.VERSION)] * 2  # once for each digest

    (cache / "onnxruntime-web" / f"{runtime.VERSION}.tgz").write_bytes(b"other")  # a cache that was changed

    def unreachable(*of):
        raise DataError("npm is not installed")

    monkeypatch.setattr(runtime, "npm_pack", unreachable)
    with pytest.raises(DataError, match="cannot be fetched by npm .npm is not installed.*put its .tgz at"):
        runtime.runtime()


def test_names_of_strangers_are_text_on_the_page(tmp_path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    about = {"shape": (1, 8, 8), "latent_shape": (2,), "latents": "normal", "classes": (evil,), "shipped": 256}
    facts = {"model": evil, "data": evil, "checked": "no pixel differs"}
    files = runtime.Runtime(b"script", b"loader", b"wasm")
    write_page(tmp_path / "page", b"model", files, about, facts, np.zeros((2, 2), np.float32))
    page = (tmp_path / "page" / "index.html").read_text()
    assert "<img" not in page and page.count("</script>") == 4
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == [
        "index.html",
        "model.js",
        "page.js",
        "runtime.js",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
