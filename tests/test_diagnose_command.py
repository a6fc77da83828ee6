"""`logitkit diagnose` reads logs in the forms that people have, and its exit code says whether it found something."""

from __future__ import annotations

import json
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from logitkit.cli import main
from logitkit.diagnose import losses_of, read_log
from tests.findings import TWICE

ROOT = Path(__file__).parents[1]
LOSSES = [2.5, 1.25, 0.5]


def record(payload: bytes) -> bytes:
    return struct.pack("<QI", len(payload), 0) + payload + b"\0" * 4


def field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def events(losses: list[float]) -> bytes:
    """An event file as TensorBoard writes it: alternately with a simple value and with a tensor."""
    data = record(b"\x09" + struct.pack("<d", 1.0) + field(3, b"brain.Event:2"))
    for step, loss in enumerate(losses):
        tensor = b"\x08\x01" + field(4, struct.pack("<f", loss))
        value = field(1, b"train/loss") + (field(8, tensor) if step % 2 else b"\x15" + struct.pack("<f", loss))
        data += record(b"\x09" + struct.pack("<d", 2.0) + b"\x10" + bytes([step]) + field(5, field(1, value)))
    return data


@pytest.mark.parametrize(
    "text",
    [
        "step,loss,acc\n1,2.5,0.1\n2,1.25,0.2\n3,0.5,0.3\n",
        "step\tloss\n1\t2.5\n2\t1.25\n3\t0.5\n",
        "loss\n2.5\n1.25\n0.5\n",
        "2.5\n1.25\n0.5\n",
        "2.5, 1.25, 0.5",
        '{"loss": 2.5, "step": 1}\n{"loss": 1.25}\n{"acc": 0.2}\n{"loss": 0.5}\n',
        "{'loss': 2.5, 'epoch': 1}\n{'loss': 1.25}\n{'loss': 0.5}\n",
        '[{"loss": 2.5}, {"loss": 1.25}, {"loss": 0.5}]',
        '{"loss": [2.5, 1.25, 0.5], "acc": [0.1, 0.2, 0.3]}',
        '{"epoch": 3, "log_history": [{"loss": 2.5}, {"loss": 1.25}, {"loss": 0.5}]}',
        "[2.5, 1.25, 0.5]",
        "Epoch 1/3 - acc: 0.10 - loss: 2.5\nEpoch 2/3 - loss: 1.25\nepoch 3 loss=0.5\n",
    ],
)
def test_log_is_read_as_people_have_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(text)
    assert losses_of(read_log(tmp_path / "log")) == {"loss": LOSSES}


def test_event_file_of_tensorboard_is_read_up_to_where_it_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "run" / "events.out.tfevents.1.host"
    path.parent.mkdir()
    path.write_bytes(events([*LOSSES, 9.0])[:-7])
    assert read_log(tmp_path) == read_log(path) == {"train/loss": LOSSES}


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x13", b"hello", b'{"a": "b"}', b"a,b\nx,y\n"])
def test_file_without_numbers_is_one_line_and_exit_2(content: bytes, tmp_path: Path, capsys) -> None:
    (tmp_path / "log").write_bytes(content)
    assert main(["diagnose", str(tmp_path / "log")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_command_exits_0_with_a_match_1_without_and_2_when_misused(tmp_path, capsys) -> None:
    (tmp_path / "log.csv").write_text("a,b\n1,2\n1,2\n")
    assert main(["diagnose", "1.4615", "--classes", "10"]) == 0
    assert "log(e + C - 1) - 1" in capsys.readouterr().out
    assert main(["diagnose", "1.2", "--classes", "10"]) == 1
    assert "Nothing that we know matches." in capsys.readouterr().out
    for words in (["nowhere.csv"], ["1.0", "--classes", "1"], ["1.0", "--shares", "x"], [str(tmp_path / "log.csv")]):
        assert main(["diagnose", *words]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
    assert main(["diagnose", str(tmp_path / "log.csv"), "--column", "b", "--format", "json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)[0]["subject"].startswith("b: 2 losses")


def test_training_loss_and_validation_loss_are_diagnosed_each(tmp_path, capsys) -> None:
    rows = [f"{2.3 * 0.8**step},{1.55 + 0.001 * (step % 2)}" for step in range(40)]
    (tmp_path / "log.csv").write_text("\n".join(["loss,val_loss", *rows]))
    assert main(["diagnose", str(tmp_path / "log.csv"), "--classes", "10"]) == 0
    train, held_out = capsys.readouterr().out.split("Val_loss: ")
    assert TWICE not in train
    assert TWICE in held_out


def test_numbers_and_logs_need_no_numpy() -> None:
    code = "import sys; sys.modules['numpy'] = None; from logitkit.diagnose import diagnose; print(diagnose(1.4615))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False)
    assert TWICE in done.stdout, done.stderr


def test_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "chapters" / "diagnose.md").read_text("utf-8")
    command, shown = re.search(r"```text\n\$ logitkit (.*?)\n(.*?)```", page, re.DOTALL).groups()
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == shown
