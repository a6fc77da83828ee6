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


def test_answer_fits_a_screen_and_says_what_to_pass_the_trap_and_the_fix(capsys) -> None:
    code, out, err = said(capsys, "explain", "torch.nn.BCEWithLogitsLoss()")
    (record,) = conventions.find("torch.nn.BCEWithLogitsLoss()")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    for part in [
        "logits (of a sigmoid, = log-odds) as `input`",
        "sigmoid, fused",
        record.case.trap,
        "Leave out the sigmoid",
    ]:
        assert part in text


def test_all_has_the_numbers_the_source_and_what_is_the_same_elsewhere(capsys) -> None:
    _, out, _ = said(capsys, "explain", "torch.nn.BCEWithLogitsLoss", "--all")
    (record,) = conventions.find("torch.nn.BCEWithLogitsLoss")
    text = " ".join(out.split())
    for part in ["0.126928 for p = sigmoid(2), y = 1", "0.346742 if", record.case.source, record.case.docs]:
        assert part in text
    assert "TensorFlow: tf.nn.sigmoid_cross_entropy_with_logits" in text


def test_every_answer_is_under_fifteen_lines_that_fit_a_terminal() -> None:
    for record in conventions.table():
        _, *rows = cli._page(record, everything=False).splitlines()
        assert len(rows) < 14, record.symbol
        _, *rows = cli._page(record, everything=True).splitlines()
        assert [line for line in rows if len(line) > 88 and " " in line[13:].strip()] == [], record.symbol


def test_several_hits_are_the_one_that_is_meant_and_a_line_for_each_other(capsys) -> None:
    code, out, _ = said(capsys, "explain", "CrossEntropyLoss")
    page, _, others = out.partition("Also:\n")
    assert code == 0
    assert page.startswith("torch.nn.CrossEntropyLoss   (PyTorch)")
    entries = [line for line in others.splitlines() if not line.startswith(" " * 6)]  # the rest of a long one is set in
    assert len(entries) == len(conventions.find("CrossEntropyLoss")) - 1 > 1


def test_long_list_ends_with_how_many_are_left_out(capsys) -> None:
    _, out, _ = said(capsys, "explain", "from_logits")
    assert len(out.splitlines()) < 25
    *_, last = out.splitlines()
    assert last.endswith("--all lists them")
    _, out, _ = said(capsys, "explain", "from_logits", "--all")
    assert len(out.partition("Also:")[2].split("\n")) > 25


def test_framework_alone_lists_all_it_has(capsys) -> None:
    code, out, _ = said(capsys, "explain", "--framework", "keras")
    assert code == 0
    assert [line.split("  ")[0] for line in out.splitlines()] == ["Keras 3"] * len(conventions.table("keras"))


@pytest.mark.parametrize(
    ("framework", "symbol"),
    [("jax", "jax.nn.log_softmax"), ("tf", "tf.nn.log_softmax"), ("torch", "torch.log_softmax")],
)
def test_framework_narrows_a_name(capsys, framework: str, symbol: str) -> None:
    _, out, _ = said(capsys, "explain", "log_softmax", "--framework", framework, "--format", "json")
    assert symbol in [record["symbol"] for record in json.loads(out)]
    assert len({record["framework"] for record in json.loads(out)}) == 1


def test_json_is_for_machines(capsys) -> None:
    code, out, _ = said(capsys, "explain", "F.cross_entropy", "--format", "json")
    (record,) = json.loads(out)
    assert code == 0
    assert (record["scale"], record["argument"]) == ("logits", "input")
    assert record["case"]["check"]["gives"] == 0.169846
    assert record["case"]["wrong"]["passes"] == "probabilities"
    assert record["callable"]["paths"][0] == "torch.nn.functional.cross_entropy"
    assert {"framework": "Optax", "symbol": "optax.softmax_cross_entropy"} in record["equivalents"]


def test_json_is_strict_for_every_record(capsys) -> None:
    for framework in dict.fromkeys(record.framework for record in conventions.table()):
        _, out, _ = said(capsys, "explain", "--framework", framework, "--format", "json")
        assert json.loads(out, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["CrossEntropyLos"], ["'CrossEntropyLos' is not recorded", "did you mean torch.nn.CrossEntropyLoss"]),
        (["frobnicate"], ["'frobnicate' is not recorded", "logitkit explain --framework"]),
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
        ["explain", "--scale", "logit"],
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
        "--scale"
        in subprocess.run(
            [sys.executable, "-m", "logitkit", "explain", "-h"], capture_output=True, text=True, check=True
        ).stdout
    )


def test_pipe_that_is_closed_early_leaves_no_traceback() -> None:
    command = [sys.executable, "-m", "logitkit", "explain", "--framework", "pytorch", "--format", "json"]
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


@pytest.mark.parametrize("options", [[], ["--format", "json"]])
def test_console_that_lacks_a_character_gets_an_escape_for_it(options: list[str]) -> None:
    command = [sys.executable, "-m", "logitkit", "explain", "Flux.crossentropy", *options]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False)
    assert done.stderr == b""
    assert b"\\u0177" in done.stdout
    if options:
        assert "\u0177" in str(json.loads(done.stdout))
