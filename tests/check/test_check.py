"""The checker finds each mistake of its corpus where it is, and nothing in the mended programs and the look-alikes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logitkit.check import check_text
from logitkit.check.explain import TITLES
from logitkit.cli import main

from .corpus import PROGRAMS, Program

WRONG = """import torch.nn.functional as F

def loss(z, y):
    return F.cross_entropy(F.softmax(z, dim=1), y)
"""


def found(program: Program) -> set[tuple[str, int, str]]:
    results = [check_text(path, program.files.get) for path in program.files]
    assert not any(result.trouble for result in results)
    return {(one.place.path, one.place.line, one.code) for result in results for one in result.findings}


@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_mistake_is_found_where_it_is_and_nothing_else(program: Program) -> None:
    def loose(findings: set[tuple[str, int, str]]) -> set[tuple[str, int, str]]:
        anywhere = {(path, code) for path, line, code in program.expected if line == 0}
        return {(path, 0 if (path, code) in anywhere else line, code) for path, line, code in findings}

    assert loose(found(program)) == program.expected


def test_corpus_has_enough_of_both_kinds_and_every_code() -> None:
    wrong = [program for program in PROGRAMS if program.expected]
    assert len(wrong) >= 60
    assert len(PROGRAMS) - len(wrong) >= 60
    assert {code for program in wrong for _, _, code in program.expected} == set(TITLES)


def test_checker_imports_no_numpy_and_no_framework() -> None:
    program = "import sys, logitkit.check; print(sorted({'torch', 'tensorflow', 'keras', 'jax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_command_prints_the_way_of_the_value_and_exits_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "train.py"
    file.write_text(WRONG)
    assert main(["check", "--no-cache", str(file)]) == 1
    printed = capsys.readouterr().out
    assert f"{file}:4:12: LK101" in printed
    assert "1.4612 for 10 classes" in printed
    assert "+    return F.cross_entropy(z, y)" in printed
    file.write_text(WRONG.replace("F.softmax(z, dim=1)", "z"))
    assert main(["check", "--no-cache", str(file)]) == 0


def test_json_has_place_code_message_and_origin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "train.py"
    file.write_text(WRONG)
    main(["check", "--no-cache", "--format", "json", str(file)])
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["path"], one["line"], one["column"], one["code"]) == (str(file), 4, 12, "LK101")
    assert [step["line"] for step in one["origin"]] == [4, 4]


@pytest.mark.parametrize("style", ["sarif", "github"])
def test_other_formats_name_file_line_and_code(style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "train.py"
    file.write_text(WRONG)
    main(["check", "--no-cache", "--format", style, str(file)])
    printed = capsys.readouterr().out
    if style == "sarif":
        (result,) = json.loads(printed)["runs"][0]["results"]
        assert result["ruleId"] == "LK101"
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 4
    else:
        assert printed.startswith(f"::error file={file},line=4,endLine=4,col=12,title=LK101::")


def sarif(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    main(["check", "--no-cache", "--format", "sarif", str(path)])
    return json.loads(capsys.readouterr().out)["runs"][0]


def test_columns_count_characters_and_those_of_sarif_units_of_utf_16(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "größe.py"
    line = "größe = '漢字 😀😀'; loss = F.cross_entropy(F.softmax(z, 1), y)"
    file.write_text(f"import torch.nn.functional as F\n{line}\n", "utf-8")
    start = line.index("F.cross")
    main(["check", "--no-cache", "--format", "json", str(file)])
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["column"], one["end_column"]) == (start + 1, len(line) + 1)
    assert line[one["fix"]["edits"][0]["column"] - 1 :].startswith("F.softmax")
    region = sarif(file, capsys)["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (region["startColumn"], region["endColumn"]) == (start + 3, len(line) + 3)
    main(["check", "--no-cache", str(file)])
    source, marks = capsys.readouterr().out.splitlines()[1:3]
    assert source[marks.index("^") :].startswith("F.cross")


def test_sarif_names_files_from_the_root_and_knows_a_result_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "50 % größe.py"
    file.write_text(WRONG * 2, "utf-8")
    monkeypatch.chdir(tmp_path)
    run = sarif(Path(file.name), capsys)
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"] for one in run["results"]]
    assert places == [{"uri": "50%20%25%20gr%C3%B6%C3%9Fe.py", "uriBaseId": "%SRCROOT%"}] * 2
    before = [one["partialFingerprints"] for one in run["results"]]
    assert before[0] != before[1]
    file.write_text("\n\n" + WRONG * 2, "utf-8")
    assert [one["partialFingerprints"] for one in sarif(file, capsys)["results"]] == before
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    place = sarif(file, capsys)["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": file.as_uri()}


def test_fix_mends_what_is_safe_and_only_that(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(WRONG)
    assert main(["check", "--no-cache", "--fix", str(file)]) == 0
    assert file.read_text() == WRONG.replace("F.softmax(z, dim=1)", "z")


def test_codes_are_selected_and_ignored_on_the_line_and_in_pyproject(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(WRONG)
    assert main(["check", "--no-cache", "--select", "LK102", str(file)]) == 0
    assert main(["check", "--no-cache", "--ignore", "LK101", str(file)]) == 0
    (tmp_path / "pyproject.toml").write_text('[tool.logitkit]\nignore = ["LK101"]\n')
    assert main(["check", "--no-cache", str(file)]) == 0


def test_baseline_keeps_old_findings_quiet_and_shows_new_ones(tmp_path: Path) -> None:
    file, baseline = tmp_path / "train.py", tmp_path / "baseline.json"
    file.write_text(WRONG)
    assert main(["check", "--no-cache", "--write-baseline", str(baseline), str(file)]) == 0
    file.write_text("\n\n" + WRONG)
    assert main(["check", "--no-cache", "--baseline", str(baseline), str(file)]) == 0
    file.write_text(WRONG + "\nF.nll_loss(F.softmax(z, 1), y)\n")
    assert main(["check", "--no-cache", "--baseline", str(baseline), str(file)]) == 1


@pytest.mark.parametrize("words", [["nowhere.py"], ["--select", "LK999", "."], ["--explain", "LK999"], []])
def test_bad_usage_exits_with_two_and_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["check", *words])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken.py", "import torch\nnn.Softmax((((\n" * 40),
        ("binary.py", "torch softmax \0\1\2"),
        ("notebook.ipynb", "{torch softmax"),
        ("deep.py", "import torch\nsoftmax = " + "(" * 3000 + ")" * 3000),
        ("chain.py", "import torch\nsoftmax = x" + ".a" * 4000),
    ],
)
def test_strange_file_gets_one_line(name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(text)
    assert main(["check", "--no-cache", str(tmp_path)]) == 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(str(tmp_path / name))


def test_file_with_a_line_that_is_not_python_is_read_all_the_same() -> None:
    text = "!pip install torch\nprint 'hello'\n" + WRONG + "x = = 3\n"
    result = check_text("a.py", {"a.py": text}.get)
    assert [(one.code, one.place.line) for one in result.findings] == [("LK101", 6)]
    assert "line 7" in result.trouble


def test_notebook_is_reported_by_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import torch.nn.functional as F"]},
        {"cell_type": "code", "source": "p = F.softmax(z, dim=1)\nloss = F.cross_entropy(p, y)"},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    assert main(["check", "--no-cache", "--format", "json", str(tmp_path)]) == 1
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["cell"], one["line"], one["code"]) == (3, 2, "LK101")
    result = sarif(tmp_path, capsys)["results"][0]
    assert result["message"]["text"].startswith("Cell 3, line 2: ")
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    main(["check", "--no-cache", "--format", "github", str(tmp_path)])
    assert re.match(r"::error file=\S+a.ipynb,title=LK101::Cell 3, line 2: ", capsys.readouterr().out)


def test_findings_are_kept_and_read_anew_when_an_imported_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "model.py").write_text("import torch\n\ndef net(x):\n    return torch.softmax(x, 1)\n")
    main_file = tmp_path / "train.py"
    main_file.write_text(
        "import torch.nn.functional as F\nfrom model import net\n\nloss = F.cross_entropy(net(x), y)\n"
    )
    assert main(["check", str(main_file)]) == 1
    assert main(["check", str(main_file)]) == 1
    (tmp_path / "model.py").write_text("import torch\n\ndef net(x):\n    return torch.relu(x)\n")
    assert main(["check", str(main_file)]) == 0


LINE = "import torch.nn.functional as F; loss = F.cross_entropy({}, y)  # größe 漢字"


@pytest.mark.parametrize(
    ("activated", "mended"),
    [
        ("F.softmax(z, dim=1)", "z"),
        ("F.softmax(input=z, dim=1)", "z"),
        ("z.softmax(1)", "z"),
        ("F.softmax(a if b else c, 1)", "(a if b else c)"),
        ("(a + b).softmax(1)", "(a + b)"),
    ],
)
def test_fix_leaves_out_the_activation_alone(activated: str, mended: str, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(LINE.format(activated), "utf-8")
    for _ in range(2):  # and does nothing more the second time
        assert main(["check", "--no-cache", "--fix", str(file)]) == 0
        assert file.read_text("utf-8") == LINE.format(mended)


@pytest.mark.parametrize("between", ["\n", "\r\n", "\r\n\f\t\r\n"])
@pytest.mark.parametrize("before", ["", "\ufeff"])
def test_fix_keeps_the_ends_of_lines_and_the_mark_of_the_encoding(before: str, between: str, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    text = before + LINE + between + LINE + between
    file.write_bytes(text.format("F.softmax(z, dim=1)", "F.softmax(z, 1)").encode())
    assert main(["check", "--no-cache", "--fix", str(file)]) == 0
    assert file.read_bytes() == text.format("z", "z").encode()


@pytest.mark.parametrize("data", [LINE.encode().replace("ö".encode(), b"\xf6"), b"x = 1\r" + LINE.encode()])
def test_fix_changes_nothing_in_a_file_whose_places_it_does_not_know(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    data = data.replace(b"{}", b"F.softmax(z, dim=1)")
    file.write_bytes(data)
    assert main(["check", "--no-cache", "--fix", str(file)]) == 1
    assert file.read_bytes() == data


def test_two_mistakes_in_one_line_are_two_findings() -> None:
    text = "import torch.nn.functional as F\nl = F.cross_entropy(a.softmax(1), y) + F.cross_entropy(b.softmax(1), y)\n"
    assert [one.place.column for one in check_text("a.py", {"a.py": text}.get).findings] == [5, 40]


def test_links_in_a_circle_and_empty_cells_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "itself.py").symlink_to("itself.py")
    (tmp_path / "up").symlink_to(tmp_path)
    cells = [{"cell_type": "code", "source": None}, {"cell_type": "code", "source": WRONG}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert main(["check", "--no-cache", str(tmp_path)]) == 1
    with pytest.raises(SystemExit) as stop:
        main(["check", str(tmp_path / "itself.py")])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[tool]\nlogitkit = 3", []),
        ("[tool.logitkit]\nselect = 3", []),
        ("[tool.logitkit]\nselect = [3]", []),
        ("[tool.logitkit]\nbaseline = []", ["--baseline", "nowhere.json"]),
        ("", ["--baseline", "pyproject.toml"]),
        ("a", []),
        ("", ["--write-baseline", "nowhere/baseline.json"]),
    ],
)
def test_bad_settings_and_baselines_exit_with_two_and_one_line(
    settings: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(settings)
    (tmp_path / "train.py").write_text(WRONG)
    with pytest.raises(SystemExit) as stop:
        main(["check", "--no-cache", *words, "train.py"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("text", ['{"a": 1}', "[[1]]", "null"])
def test_baseline_of_another_kind_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["check", "--baseline", str(tmp_path / "baseline.json"), str(tmp_path)])
    assert stop.value.code == 2
