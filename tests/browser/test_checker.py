"""The page that checks a reader's code says what the command line says, and sends nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import reader

PAGE = "chapters/check.html"
STARTED = 120_000  # ms: Pyodide starts in two seconds, and in a minute on a machine that's busy
MODEL = "from torch import nn\n\nnet = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))  # für Ä\n"
TRAIN = "from torch import nn\nfrom model import net\n\nloss = nn.CrossEntropyLoss()(net(x), y)\n"
CELLS = [
    {"cell_type": "markdown", "source": "text"},
    {"cell_type": "code", "source": "%time\nimport torch.nn.functional as F\n"},
    {"cell_type": "code", "source": "z = net(x)\nloss = F.nll_loss(z.softmax(1), y)"},
]
FILES = {
    "train.py": TRAIN,
    "model.py": MODEL,
    "notebook.ipynb": json.dumps({"cells": CELLS, "nbformat": 4}),
    "broken.py": "import torch\nx = = 3\ntorch.distributions.Categorical(logits=z.softmax(1))\n",
}


@pytest.fixture
def form(page: Page, site: str) -> Locator:
    page.goto(f"{site}/{PAGE}")
    return page.locator("form.checker")


def put(form: Locator, files: dict[str, str]) -> None:
    form.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "text/plain", "buffer": text.encode()} for name, text in files.items()]
    )


def answer(form: Locator) -> str:
    status = form.get_by_role("status")
    form.get_by_role("button", name="Check", exact=True).click()
    expect(status).to_have_text(re.compile("found|stopped"), timeout=STARTED)
    return status.inner_text()


def test_report_is_that_of_the_command_line(form: Locator, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    command = [sys.executable, "-m", "logitkit", "check", "--no-cache", "--format"]
    run = subprocess.run([*command, "json", *FILES], cwd=tmp_path, capture_output=True, text=True)
    expected = json.loads(run.stdout)
    assert {one["code"] for one in expected} == {"LK101", "LK104", "LK108"}
    put(form, FILES)
    assert answer(form) == f"{len(expected)} found."
    shown = form.locator(".checker-finding").all()
    for one, section in zip(expected, shown, strict=True):
        text = section.inner_text()
        assert one["code"] in text
        assert f"line {one['line']}" in text
        assert f"{one['message'].replace('`', '')}." in text
        assert one["tell"] in text
        assert all(step["what"] in text for step in one["origin"])
    assert run.stderr.strip() == form.locator(".checker-report > p").inner_text()


def test_nothing_is_loaded_before_the_button_is_pressed_and_nothing_is_sent_then(form: Locator, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url} {request.post_data or ''}"))
    form.get_by_label("Your code").fill(TRAIN)
    page.wait_for_timeout(500)
    assert not [each for each in asked if "favicon" not in each]
    answer(form)
    assert any("pyodide.asm.wasm" in each for each in asked)
    assert all(each.startswith("GET") for each in asked)
    page.context.set_offline(True)
    form.get_by_label("Your code").fill("import torch\ntorch.distributions.Categorical(logits=z.softmax(1))\n")
    assert answer(form) == "1 found."


def test_link_carries_the_code_and_the_keyboard_checks_it(form: Locator, page: Page, site: str) -> None:
    code = form.get_by_label("Your code")
    code.fill(MODEL)
    form.get_by_role("button", name="Copy a link").click()
    page.wait_for_url("**/*#code=*")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(code).to_have_value(MODEL)
    code.fill("import torch\n\ntorch.distributions.Categorical(logits=z.softmax(1))\n")
    code.press("Control+Enter")
    place = form.locator(".checker-finding button")
    expect(place).to_have_text("code.py, line 3", timeout=STARTED)
    place.press("Enter")
    selected = "(box) => box.value.slice(box.selectionStart, box.selectionEnd)"
    assert code.evaluate(selected) == "torch.distributions.Categorical(logits=z.softmax(1))"


def test_examples_fill_the_box_and_a_broken_link_says_so(form: Locator, page: Page, site: str) -> None:
    choice = form.get_by_label("Try an example")
    for number in range(1, choice.locator("option").count()):
        choice.select_option(index=number)
        assert "import" in form.get_by_label("Your code").input_value()
    page.goto("about:blank")
    page.goto(f"{site}/{PAGE}#code=AAAA")
    expect(form.get_by_role("status")).to_contain_text("can't be read")


def test_form_fits_a_phone(browser: Browser, site: str) -> None:
    with reader(browser, site, width=360) as page:
        page.goto(f"{site}/{PAGE}")
        form = page.locator("form.checker")
        put(form, {"a_rather_long_name_for_a_file.py": TRAIN * 3, "model.py": MODEL})
        assert answer(form) == "3 found."
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
