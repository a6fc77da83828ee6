"""What every test in the browser starts from: the served book, the browser, and a page that is watched."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from . import chromium, server

# What asserts on behalf of tests says what it compared, as they do.
pytest.register_assert_rewrite("tests.browser.explorables", "tests.browser.explorable_numbers")
BUILT = Path(__file__).parents[2] / "_build" / "html"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--site", type=Path, default=BUILT, help="the folder of another built book")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "path" in metafunc.fixturenames:
        paths = pages(metafunc.config.getoption("--site").resolve())
        # The pages with the source of a module differ in their code alone: one stands for all.
        sources = [path for path in paths if path.startswith("_modules/logitkit/")]
        metafunc.parametrize("path", [path for path in paths if path not in sources[1:]])


def pages(folder: Path) -> list[str]:
    """Return the paths of all pages of a built book, but for those that only send the reader on to another."""
    static = folder / "_static"  # the theme leaves its templates there
    files = sorted(file for file in folder.rglob("*.html") if static not in file.parents)
    return [
        file.relative_to(folder).as_posix()
        for file in files
        if b'http-equiv="refresh"' not in file.read_bytes().lower()
    ]


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest) -> Path:
    """The built book."""
    folder = request.config.getoption("--site").resolve()
    assert folder.is_dir(), f"{folder} is not there: make book"
    return folder


@pytest.fixture(scope="session")
def site(folder: Path) -> Iterator[str]:
    """The address of the served book: its first page is f"{site}/index.html"."""
    with server.serve(folder) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    assert path, chromium.MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=chromium.flags())
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A fresh page, desktop-sized, that fails the test on an error or on a request to another host."""
    with reader(browser, site) as page:
        yield page


@contextmanager
def reader(browser: Browser, base: str, width: int = 1400, **settings: Any) -> Iterator[Page]:
    """Yield a fresh page with a reader's settings, and demand at the end that nothing went wrong on it."""
    with browser.new_context(viewport={"width": width, "height": 900}, **settings) as context:
        page = context.new_page()
        troubles = watch(page, base)
        yield page
        assert not troubles, "\n".join(troubles)


def watch(page: Page, base: str) -> list[str]:
    """Return a list that fills with what goes wrong on a page: errors, failed requests, requests to another host."""
    troubles: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            troubles.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def on_request(request: Request) -> None:
        if not request.url.startswith((f"{base}/", "data:", "blob:")):
            troubles.append(f"request outside the site: {request.url}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            troubles.append(f"status {response.status}: {response.url}")

    def on_failure(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left before it came
            troubles.append(f"request failed: {request.url} ({request.failure})")

    page.on("console", on_console)
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", on_failure)
    return troubles
