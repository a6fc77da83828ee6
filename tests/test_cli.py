"""`logitkit explain` answers as a person wants it, and exits as a script needs it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from logitkit import cli, conventions
from logitkit.cli import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


def test_page_says_what_to_pass_the_trap_what_is_the_same_elsewhere_and_where_it_is_written(capsys) -> None:
    code, out, err = said(capsys, "explain", "torch.nn.BCEWithLogitsLoss")
    (record,) = conventions.find("torch.nn.BCEWithLogitsLoss")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    for part in [
        "log-odds as `input`",
        "sigmoid, fused",
        record.case.trap,
        "0.126928 for p = sigmoid(2), y = 1",
        "0.346742 if",
        record.case.source,
        record.case.docs,
    ]:
        assert part in text
    assert "TensorFlow: tf.nn.sigmoid_cross_entropy_with_logits" in text


def test_number_of_a_setting_in_log_odds_is_said_to_be_that_of_a_yes(capsys) -> None:
    _, out, _ = said(capsys, "explain", "base_margin (binary:logistic)")
    said_of_it = "0.880797 (the probability that is then predicted) for p = sigmoid(2), y = 1, passed as log-odds"
    assert said_of_it in " ".join(out.split())


def test_lines_fit_a_terminal_but_for_what_cannot_be_broken(capsys) -> None:
    for record in conventions.table():
        _, out, _ = said(capsys, "explain", record.symbol, "--framework", record.framework)
        title, *rows = out.splitlines()
        assert [line for line in rows if len(line) > 88 and " " in line[15:].strip()] == [], title


def test_name_of_many_frameworks_is_listed_a_line_each(capsys) -> None:
    code, out, _ = said(capsys, "explain", "log_softmax")
    *lines, empty, hint = out.splitlines()
    assert code == 0
    assert (empty, hint.split()[:2]) == ("", ["`logitkit", "explain"])
    assert len(lines) == len(conventions.find("log_softmax")) > 3
    assert any("PyTorch" in line and "logits" in line for line in lines)


def test_framework_alone_lists_all_it_has(capsys) -> None:
    code, out, _ = said(capsys, "explain", "--framework", "keras")
    assert code == 0
    assert [line.split("  ")[0] for line in out.splitlines()[:-2]] == ["Keras 3"] * len(conventions.table("keras"))


def test_framework_narrows_a_name(capsys) -> None:
    _, out, _ = said(capsys, "explain", "log_softmax", "--framework", "jax", "--json")
    assert [record["symbol"] for record in json.loads(out)] == ["jax.nn.log_softmax"]


def test_json_is_for_machines(capsys) -> None:
    code, out, _ = said(capsys, "explain", "F.cross_entropy", "--framework", "pytorch", "--json")
    (record,) = json.loads(out)
    assert code == 0
    assert record["holds"] == "logits"
    assert record["check"]["gives"] == 0.169846
    assert record["wrong"] == {
        "call": record["check"]["call"],
        "passes": "probabilities",
        "gives": 0.657846,
        "tolerance": 1e-6,
    }
    assert {"framework": "Optax", "symbol": "optax.softmax_cross_entropy"} in record["equivalents"]


def test_json_is_strict_for_every_record(capsys) -> None:
    for framework in dict.fromkeys(record.framework for record in conventions.table()):
        _, out, _ = said(capsys, "explain", "--framework", framework, "--json")
        assert json.loads(out, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["CrossEntropyLos"], ["'CrossEntropyLos' is not known", "did you mean CrossEntropyLoss"]),
        (["frobnicate"], ["'frobnicate' is not known", "logitkit explain --framework"]),
        (["--framework", "torhc"], ["no framework is named 'torhc'", "PyTorch"]),
        (["optax.softmax_cross_entropy", "--framework", "keras"], ["it is in Optax"]),
    ],
)
def test_what_is_not_known_exits_with_1_and_a_hint(capsys, arguments: list[str], words: list[str]) -> None:
    code, out, err = said(capsys, "explain", *arguments)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["explian", "x"],
        ["explain"],
        ["explain", "a", "b"],
        ["explain", "--colour"],
        ["explain", "--holds", "logits"],
    ],
)
def test_bad_usage_exits_with_2_and_one_line(capsys, arguments: list[str]) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "--help" in err


def test_command_is_installed_and_runs_as_a_module_too() -> None:
    (script,) = entry_points(group="console_scripts", name="logitkit")
    assert script.load() is main
    done = subprocess.run(
        [sys.executable, "-m", "logitkit", "explain", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (
        "--holds"
        in subprocess.run(
            [sys.executable, "-m", "logitkit", "explain", "-h"], capture_output=True, text=True, check=True
        ).stdout
    )


def test_pipe_that_is_closed_early_leaves_no_traceback() -> None:
    command = [sys.executable, "-m", "logitkit", "explain", "--framework", "pytorch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL, errno.ENOSPC])
def test_closed_pipe_is_told_from_a_full_disk_also_by_the_number_of_windows(capfd, monkeypatch, number: int) -> None:
    def fails(_: object) -> int:
        raise OSError(number, "")

    monkeypatch.setattr(cli, "_explain", fails)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    if number != errno.ENOSPC:
        assert main(["explain", "torch.nn.NLLLoss"]) == 0
        return
    with pytest.raises(OSError, match=str(number)):
        main(["explain", "torch.nn.NLLLoss"])


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_console_that_lacks_a_character_gets_an_escape_for_it(options: list[str]) -> None:
    command = [sys.executable, "-m", "logitkit", "explain", "Flux.crossentropy", *options]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False)
    assert done.stderr == b""
    assert b"\\u0177" in done.stdout
    if options:
        assert "\u0177" in str(json.loads(done.stdout))
