"""Copies of checkpoints: on a mounted path and on a local S3 server; a machine that has nothing goes on from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.errors import UserError
from pe_ray.store.paths import Home
from pe_ray.train import steplog
from pe_ray.train.checkpoint import finished
from pe_ray.train.remote import Remote
from pe_ray.train.run import train
from tests.train.conftest import make_config


@pytest.fixture(scope="module")
def s3():
    """An S3 server on loopback with one bucket; its address is in the environment, as a cluster's would be."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as m:
        m.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        m.setenv("AWS_ACCESS_KEY_ID", "nobody")
        m.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        m.setenv("AWS_DEFAULT_REGION", "us-east-1")
        m.setenv("AWS_EC2_METADATA_DISABLED", "true")
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/checkpoints", method="PUT"))
        yield "s3://checkpoints/team"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/elsewhere" if request.param == "file" else request.getfixturevalue("s3")


def test_another_machine_goes_on_bit_for_bit(world, place: str, tmp_path) -> None:
    _, _, base, examples = world
    here, there, alone = (Home.at(tmp_path / name) for name in ("here", "there", "alone"))
    told = {"copy_to": place, "checkpoint_every_steps": 3, "keep_checkpoints": 2, "eval_every_steps": 5}
    whole = train(make_config(**told | {"copy_to": None}), examples, base, alone, "r")

    class Gone(Exception):
        """The machine."""

    def until_eight(line) -> None:
        if line["step"] == 8:
            raise Gone

    with pytest.raises(Gone):
        train(make_config(**told), examples, base, here, "r", on_step=until_eight)
    remote = Remote.at(place, "r")
    seen: list[dict] = []
    resumed = train(make_config(**told), examples, base, there, "r", on_step=seen.append)
    assert [line["step"] for line in seen] == list(range(7, 13))
    ours, theirs = (steplog.read(h.run("r") / steplog.NAME) for h in (there, alone))
    assert [(s["step"], s["loss"]) for s in ours] == [(s["step"], s["loss"]) for s in theirs]
    assert resumed.stage["eval_loss"] == whole.stage["eval_loss"]
    assert remote.names() == [c.path.name for c in finished(there.run("r") / "checkpoints")]


def test_a_torn_copy_is_passed_over(world, place: str, tmp_path) -> None:
    _, _, base, examples = world
    home = Home.at(tmp_path / "home")
    config = make_config(copy_to=place, checkpoint_every_steps=4, steps=8, eval_every_steps=100)
    train(config, examples, base, home, "torn")
    remote = Remote.at(place, "torn")
    newest, older = remote.names()[-1], remote.names()[-2]
    with remote.files.open_output_stream(f"{remote.root}/checkpoints/{newest}/weights.safetensors") as sink:
        sink.write(b"half")
    found = remote.fetch(tmp_path / "fresh")
    assert found is not None and found.name == older
    assert not (tmp_path / "fresh" / "checkpoints" / newest).exists()
    remote.files.delete_file(f"{remote.root}/checkpoints/{older}/manifest.json")
    assert remote.fetch(tmp_path / "fresher") is None


def test_a_store_that_does_not_answer_costs_a_line_not_the_run(world, tmp_path, monkeypatch, capsys) -> None:
    _, _, base, examples = world
    home, blocked = Home.at(tmp_path / "home"), tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    result = train(make_config(copy_to=f"file://{blocked}", steps=4), examples, base, home, "r")
    assert result.stage["steps"] == 4 and result.checkpoint.is_dir()
    assert "is not copied" in capsys.readouterr().err


def test_a_place_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UserError, match=r"train\.copy_to=ftp://x/y"):
        Remote.at("ftp://x/y", "r")
