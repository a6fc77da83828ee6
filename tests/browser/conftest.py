"""What every test in the browser starts from: the served book, the browser, and a page that is watched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from . import chromium, server

BUILT = Path(__file__).parents[2] / "_build" / "html"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--site", type=Path, default=BUILT, help="the folder of another built book")


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
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        page = context.new_page()
        troubles = watch(page, site)
        yield page
        assert not troubles, "\n".join(troubles)


def watch(page: Page, site: str) -> list[str]:
    """Return a list that fills with what goes wrong on a page: errors, failed requests, requests to another host."""
    troubles: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            troubles.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def on_request(request: Request) -> None:
        if not request.url.startswith((f"{site}/", "data:", "blob:")):
            troubles.append(f"request outside the site: {request.url}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            troubles.append(f"status {response.status}: {response.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: troubles.append(f"request failed: {request.url} ({request.failure})"))
    return troubles
