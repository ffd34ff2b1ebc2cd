"""The app's page of runs: what it shows, what the form takes, and the queue behind it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from app_cases import BASE, OURS, client, home, ids, served, shown, trainings  # noqa: F401 - fixtures
from counterfeit.app import form, worker
from counterfeit.app.jobs import ENDED, QUEUED, RUNNING, Queue
from counterfeit.app.server import application, marked
from counterfeit.app.shelf import Shelf, Shelved
from counterfeit.cli.training import parsed
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.runs import RunFolder
from counterfeit.system.signals import Interrupted
from counterfeit.training.loop import EpochEnded, Stopped
from counterfeit.training.session import fitting


def test_cards_say_what_there_is(client: TestClient, home: Path) -> None:
    page = client.get("/cards").text
    for name, id in ids(home).items():
        assert f'id="run-{id}" data-state="finished" data-name="{name}"' in page
    picture = client.get(f"/runs/{ids(home)['vae-mnist5k-s0']}/samples/1.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content == (home / "vae-mnist5k-s0" / "samples" / "epoch-0001.png").read_bytes()


def test_cards_that_are_the_same_are_not_sent_again(client: TestClient, home: Path) -> None:
    first = client.get("/cards")
    again = client.get("/cards", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    shutil.rmtree(home / "vae-mnist5k-s0")  # meanwhile
    after = client.get("/cards", headers={"if-none-match": first.headers["etag"]})
    assert after.status_code == 200 and "vae-mnist5k-s0" not in after.text
    assert client.get(f"/runs/{ids(home).get('vae-mnist5k-s0', 'gone')}").status_code == 404


def test_a_run_that_cannot_be_read_is_said_and_harms_no_other(client: TestClient, home: Path) -> None:
    (home / "vae-mnist5k-s0" / "run.json").write_text('{"model": "<script>alert(1)</script>"')
    page = client.get("/").text
    assert 'data-state="unreadable"' in page and 'data-state="finished"' in page
    assert "<script>alert" not in page
    assert client.get(f"/runs/{ids(home)['vae-mnist5k-s0']}").status_code == 200


def test_no_picture_is_shown_through_a_link(client: TestClient, home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    run = home / "vae-mnist5k-s0"
    (run / "samples" / "epoch-0007.png").symlink_to(secret)
    id = ids(home)["vae-mnist5k-s0"]
    assert client.get(f"/runs/{id}/samples/7.png").status_code == 404
    for path in ("../../secret", "%2e%2e/%2e%2e/secret", "-1", "1e3", "0x1"):
        assert client.get(f"/runs/{id}/samples/{path}.png").status_code == 404
    for name in ("..", "%2e%2e", "vae-mnist5k-s0", "../runs/vae-mnist5k-s0", str(run)):
        assert client.get(f"/runs/{name}/samples/1.png").status_code == 404


@pytest.mark.parametrize(
    "name,value,said",
    [
        ("epochs", "x", "--epochs is 'x'; it must be a whole number"),
        ("epochs", "0", "--epochs is 0; it must be 1 or more, and at most 2^31 - 1"),
        ("lr", "-1", "--lr is -1.0; it must be a positive number, such as 0.001"),
        ("betas", "0.9", "--betas is (0.9,); it must be 2 of these: a number"),
        ("budget", "soon", "--budget is 'soon'; it must be a time of 10 seconds or more, such as 90s, 5m or 1h30m"),
        ("keep", "best", "--keep best needs scores to choose by: pass --score-every 1 as well"),
        ("loss", "nothing", "--loss is 'nothing'; it must be 'bernoulli' or 'gaussian' or 'logistic'"),
        ("data", "/etc", "choose one of these"),
        ("model", "nothing", "choose a model"),
        ("name", "../x", "take letters, digits and - _ . in it"),
        ("name", "vae-mnist5k-s0", "there is such a folder: choose another name"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(client: TestClient, home: Path, name: str, value: str, said: str) -> None:
    answer = client.post("/start", json={"model": "vae", "data": "mnist5k", name: value})
    assert answer.json() == {"faults": {name: said}}
    assert trainings(home).jobs() == []


def test_several_faults_are_said_at_once(client: TestClient) -> None:
    answer = client.post("/start", json={"model": "vae", "data": "mnist5k", "epochs": "x", "lr": "y"})
    assert answer.json()["faults"].keys() == {"epochs", "lr"}


@pytest.mark.parametrize("model", list(MODELS))
def test_the_form_as_it_is_asks_for_a_models_own_settings(model: str, tmp_path: Path) -> None:
    """All fields as the page shows them, of every model: nothing is changed, so the command has no option but data."""
    fields = form.form_of(model)
    posted = {field.name: field.value for field in fields} | {"model": model, "data": "mnist5k"}
    found, settings, name = form.settings_of(Shelf([tmp_path]), posted)
    assert settings == MODELS[model].settings.replace({"data": "mnist5k"})
    assert form.arguments(found, settings) == ["train", model, "--data=mnist5k"]
    assert all(field.help for field in fields)


@pytest.mark.parametrize(("typed", "size"), [("48x64", "48x64"), ("48", 48), ("", None)])
def test_a_size_is_a_number_or_height_and_width(typed: str, size: int | str | None, tmp_path: Path) -> None:
    (field,) = (field for field in form.form_of("dcgan") if field.name == "size")
    assert field.kind == "text"
    posted = {"model": "dcgan", "data": "mnist5k", "size": typed}
    _, settings, _ = form.settings_of(Shelf([tmp_path]), posted)
    assert settings.size == size


def test_what_is_typed_comes_to_the_command_as_it_was_meant(client: TestClient, home: Path) -> None:
    typed = {
        "model": "gan", "data": "mnist5k", "lr": "2e-4", "betas": "0.5, 0.9", "steps": "20", "cuda_graph": "",
        "loss": "hinge", "seed": "7",
    }  # fmt: skip
    assert client.post("/start", json=typed).json() == {"name": "gan-mnist5k-s7"}
    [job] = trainings(home).jobs()
    settings = parsed(job.arguments[1:]).training
    assert (settings.lr, settings.betas, settings.steps, settings.cuda_graph) == (2e-4, (0.5, 0.9), 20, False)
    assert (settings.loss, settings.seed, settings.data) == ("hinge", 7, "mnist5k")
    assert job.run == str(home / "gan-mnist5k-s7")


def test_two_of_one_name_are_two_runs(client: TestClient, home: Path) -> None:
    """As a second tab that posts the same would have it."""
    names = [client.post("/start", json={"model": "vae", "data": "mnist5k"}).json()["name"] for _ in range(2)]
    assert names == ["vae-mnist5k-s0-2", "vae-mnist5k-s0-3"]


def test_one_that_waits_can_be_cancelled(client: TestClient, home: Path) -> None:
    client.post("/start", json={"model": "vae", "data": "mnist5k", "name": "mine"})
    page = client.get("/cards").text
    assert 'data-state="waiting" data-name="mine"' in page
    id = page.split('data-name="mine"')[0].rpartition('id="run-')[2].partition('"')[0]
    assert client.post("/stop", json={"run": id}).status_code == 200
    assert trainings(home).jobs() == []
    assert client.post("/stop", json={"run": id}).status_code == 400


@pytest.mark.parametrize("path", ["/stop", "/resume", "/score"])
@pytest.mark.parametrize("run", ["../x", "/etc", "", None, 3, ["a"]])
def test_a_change_of_what_is_no_run_is_refused(client: TestClient, path: str, run: object) -> None:
    answer = client.post(path, json={"run": run})
    assert answer.status_code == 400 and "error" in answer.json()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 20_000])
def test_a_body_that_is_no_object_is_refused(client: TestClient, body: bytes) -> None:
    assert client.post("/start", content=body).status_code == 400


@pytest.mark.parametrize("length", [{"epochs": 3}, {"steps": 500}, {"budget": "5m"}], ids=str)
def test_a_run_is_begun_again_by_the_length_that_was_asked_for(length: dict[str, int | str]) -> None:
    """Its steps and epochs follow from that, and two lengths would be an error."""
    begun = dataclasses.replace(MODELS["gan"].settings.replace(length), steps=500, epochs=3)
    if "epochs" in length:
        begun = dataclasses.replace(begun, steps=None)
    ((name, value),) = length.items()
    assert form.arguments("gan", begun) == ["train", "gan", f"--{name}={value}"]


def test_a_finished_run_is_not_resumed(client: TestClient, home: Path) -> None:
    answer = client.post("/resume", json={"run": ids(home)["vae-mnist5k-s0"]})
    assert answer.json() == {"error": "this run is finished"}


# The queue.


def script(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the worker start this instead of the command."""
    monkeypatch.setattr(worker, "START", (sys.executable, "-c", code))


def test_a_worker_does_what_waits_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    script(
        monkeypatch,
        f"import sys, time; f = open({str(log)!r}, 'a', 1); f.write('+'); f.flush(); time.sleep(0.2); f.write('-');"
        "print('counterfeit: no data\\n'); sys.exit(int(sys.argv[1]))",
    )
    queue = Queue(tmp_path / "queue")
    for code in (0, 2, 130):
        queue.add(tmp_path / f"run{code}", [str(code)])
    with pytest.raises(InputError, match="waits for it"):
        queue.add(tmp_path / "run0", ["0"])
    with queue.work():
        worker.drain(queue)
    assert log.read_text() == "+-+-+-"
    assert [(job.state, job.code, job.failed) for job in queue.jobs()] == [
        (ENDED, 0, False),
        (ENDED, 2, True),
        (ENDED, 130, False),
    ]
    assert queue.last_words(queue.jobs()[1]) == "counterfeit: no data"


def test_what_was_cancelled_just_now_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(tmp_path / "queue")
    job = queue.add(tmp_path / "run", [])
    assert queue.cancel(tmp_path / "run")
    assert queue.begin(job, (sys.executable, "-c", "1/0")) is None
    assert not queue.cancel(tmp_path / "run")


def test_a_worker_waits_for_what_a_killed_one_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process goes on without its worker; the next job begins after it, and how it ended is not known."""
    log = tmp_path / "log"
    script(monkeypatch, f"import time; time.sleep(1); open({str(log)!r}, 'a').write('x')")
    queue = Queue(tmp_path / "queue")
    process = queue.begin(queue.add(tmp_path / "one", []), worker.START)
    assert process is not None
    queue.add(tmp_path / "two", [])
    assert [job.state for job in queue.jobs()] == [RUNNING, QUEUED]
    monkeypatch.setattr(worker, "is_alive", lambda job: process.poll() is None)  # which reaps it, as init would
    began: list[str] = []
    begin = Queue.begin
    monkeypatch.setattr(Queue, "begin", lambda *args: (began.append(log.read_text()), begin(*args))[1])
    with queue.work():
        worker.drain(queue)
    assert began == ["x"]
    assert [(job.state, job.code) for job in queue.jobs()] == [(ENDED, None), (ENDED, 0)]


def test_a_job_that_a_restart_of_the_machine_has_ended_is_ended_without_another(tmp_path: Path) -> None:
    """Its worker was killed with it: the next one that the app starts, though nothing waits, says so."""
    queue = Queue(tmp_path / "queue")
    job = queue.add(tmp_path / "run", ["train"])
    queue._write(dataclasses.replace(job, state=RUNNING, pid=2**22 + 1))  # above every number of a process
    assert queue.next() is None and not queue.is_done()
    command = [sys.executable, "-m", "counterfeit.app.worker", str(tmp_path / "queue")]
    subprocess.run(command, check=True, timeout=60)
    assert [(job.state, job.code) for job in queue.jobs()] == [(ENDED, None)] and queue.is_done()


def begun(*words: str) -> subprocess.Popen[bytes]:
    """A process with such a command line, until a line comes."""
    start = (sys.executable, "-c", "print(1, flush=True); input()", "counterfeit")
    process = subprocess.Popen([*start, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline()  # before, it may have no command line yet
    return process


@pytest.mark.parametrize("proc", [True, False])
def test_a_job_is_alive_while_its_own_command_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proc: bool) -> None:
    """Not another training that has its number by now, nor ourselves; also where there is no /proc, by ps."""
    if not proc:
        exists = Path.exists
        monkeypatch.setattr(Path, "exists", lambda self: "/proc" not in str(self) and exists(self))
    queue = Queue(tmp_path / "queue")
    with begun("train", "vae", "--out=/other") as other:
        words = ["train", "vae", f"--out={tmp_path / 'my run'}"]
        job = queue.add(tmp_path / "my run", words)
        with begun(*words) as own:
            assert worker.is_alive(dataclasses.replace(job, pid=own.pid))
            own.communicate(b"\n")
        for pid in (None, other.pid, own.pid, os.getpid()):
            assert not worker.is_alive(dataclasses.replace(job, pid=pid)), pid
        monkeypatch.setattr(worker, "_command", lambda pid: "counterfeit " + " ".join(words))
        assert not worker.is_alive(dataclasses.replace(job, pid=os.getpid()))
        other.communicate(b"\n")


def test_stop_asks_no_stranger(tmp_path: Path) -> None:
    """As after a restart of the machine: the number of the job's process is that of another training."""
    client = TestClient(application(Shelf([tmp_path])), BASE, headers=OURS)
    queue, run = trainings(tmp_path), tmp_path / "mine"
    job = queue.add(run, ["train", "vae", f"--out={run}"])
    with begun("train", "vae", "--out=/other") as other:
        (queue.folder / f"{job.id}.json").write_text(
            json.dumps(dataclasses.asdict(dataclasses.replace(job, state=RUNNING, pid=other.pid)))
        )
        assert client.post("/stop", json={"run": Shelved.of(RunFolder(run)).id}).status_code == 200
        other.communicate(b"\n")
    assert other.returncode == 0


def test_a_damaged_job_is_left_out(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    job = queue.add(tmp_path / "run", ["x"])
    for name, text in {"0" * 16 + "-" + "0" * 8: "{", "1" * 16 + "-" + "0" * 8: '{"id": 1}', "notes": "{}"}.items():
        (tmp_path / f"{name}.json").write_text(text)
    assert queue.jobs() == [job]


# The whole, in processes of their own.


def test_a_training_outlives_the_app(tmp_path: Path, test_cache: Path) -> None:
    """Started from the form, its server killed; the next server finds it, and that it has come to its end."""
    home = tmp_path / "runs"
    server, base = served(home)
    posted = {"model": "vae", "data": "mnist5k", "epochs": "1", "encoder_width": "32", "decoder_width": "32"}
    try:
        assert ask(base, "/start", posted) == {"name": "vae-mnist5k-s0"}
    finally:
        server.kill()
        server.wait()
    server, base = served(home)
    try:
        patience = time.monotonic() + 120
        while 'data-state="finished"' not in (page := got(base, "/cards")):
            assert time.monotonic() < patience and 'data-state="failed"' not in page, page
            time.sleep(0.5)
    finally:
        server.terminate()
        code = server.wait()
    assert code == 130
    record = json.loads((home / "vae-mnist5k-s0" / "run.json").read_text())
    assert record["finished"] and "--epochs=1" in record["made_by"]["command"]


def ask(base: str, path: str, values: dict[str, str]) -> Any:
    return requests.post(base + path, json=values, headers={"origin": base}, timeout=30).json()


def got(base: str, path: str) -> str:
    return requests.get(base + path, timeout=30).text


def test_a_training_that_was_started_elsewhere_is_stopped_with_a_checkpoint(tmp_path: Path) -> None:
    """The file that asks is for that training only: neither an older one counts, nor does one stay behind."""
    client, folder = TestClient(application(Shelf([tmp_path])), BASE, headers=OURS), RunFolder(tmp_path / "mine")
    small = {"data": "mnist5k", "epochs": 200, "encoder_width": 16, "decoder_width": 16, "device": "cpu"}
    folder.path.mkdir()
    (folder.path / ".stop").touch()
    id, events, asked = Shelved.of(folder).id, [], False
    with pytest.raises(Interrupted, match="with a checkpoint"):
        for event in fitting(
            "vae", MODELS["vae"].changed(MODELS["vae"].settings, small), folder, quiet=True, alone=True
        ):
            events.append(event)
            if sum(isinstance(one, EpochEnded) for one in events) == 2 and not asked:
                asked = True
                assert f'id="stop-{id}"' in client.get("/cards").text
                assert client.post("/stop", json={"run": id}).status_code == 200
    assert not (folder.path / ".stop").exists() and not (folder.path / ".listens").exists()
    assert isinstance(events[-1], Stopped) and events[-1].step >= 2 * 39
    assert f'id="resume-{id}"' in client.get("/cards").text
    assert client.post("/stop", json={"run": id}).json() == {"error": "nobody trains this run"}


def test_a_run_of_a_grid_is_not_stopped_alone(client: TestClient, home: Path) -> None:
    folder, id = RunFolder(home / "vae-mnist5k-s0"), ids(home)["vae-mnist5k-s0"]
    folder.write_record(dataclasses.replace(folder.read_record(), finished=None))
    with folder.lock():
        assert f'id="stop-{id}"' not in client.get("/cards").text
        answer = client.post("/stop", json={"run": id})
    assert answer.status_code == 400 and "part of a grid" in answer.json()["error"]
    assert not (folder.path / ".stop").exists()


def test_a_training_within_a_grid_does_not_listen(tmp_path: Path) -> None:
    """However the grid was started; what a killed process has left is removed."""
    folder = RunFolder(tmp_path / "member")
    small = {
        "data": "mnist5k",
        "epochs": 1,
        "batch_size": 1000,
        "encoder_width": 4,
        "decoder_width": 4,
        "device": "cpu",
    }
    folder.path.mkdir()
    (folder.path / ".listens").touch()
    seen = [
        (folder.path / ".listens").exists()
        for event in fitting("vae", MODELS["vae"].changed(MODELS["vae"].settings, small), folder, quiet=True)
        if isinstance(event, EpochEnded)
    ]
    assert seen == [False] and not (folder.path / ".listens").exists()


def test_words_of_help_are_marked_and_nothing_else_gets_through() -> None:
    assert marked("`a<b`, <i> --lr-decay") == '<code>a&lt;b</code>, &lt;i&gt; <span class="word">--lr-decay</span>'
