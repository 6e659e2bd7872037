"""The operations page in a real browser: what it shows, that it can be read, and that nothing hostile is obeyed."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny
import trial
from browser import Browser, Page
from client import Client, refusal
from expected import TinyRequest, column, tiny_request
from repository import Repository, reaches
from server import TEST_MODELS, Server

HOSTILE = "<img src=x onerror=window.hostile=1>"
ASKED = TinyRequest(tiny.ITEMS[:10], [float(number) for number in range(10)])
SECTIONS = ("tiles", "models-body", "slowest-body", "changes-body", "comparisons-body", "outcomes-body", "users-body")
WIDE, PHONE = (1440, 900), (390, 844)

# Every text that can be seen, whose contrast with what lies behind it is too small.
CONTRASTS = """(() => {
  const channels = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return { rgb: found.slice(0, 3), alpha: found.length > 3 ? found[3] : 1 };
  };
  const luminance = (rgb) => {
    const linear = rgb.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.alpha === 1) return colour.rgb;
      if (colour.alpha > 0) throw new Error("half a background");
    }
    return [255, 255, 255];
  };
  const wrong = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const style = getComputedStyle(parent);
    if (!walker.currentNode.data.trim() || !parent.checkVisibility() || parent.closest("svg, noscript")) continue;
    const fore = channels(style.color);
    if (fore.alpha !== 1 || style.opacity !== "1") throw new Error("half a text: " + walker.currentNode.data);
    const [a, b] = [luminance(fore.rgb), luminance(behind(parent))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    seen += 1;
    if (ratio < 4.5) wrong.push(walker.currentNode.data.trim().slice(0, 40) + " " + ratio.toFixed(2));
  }
  return { seen, wrong };
})()"""


class Shop:
    """A server with all there is to show: users, a split, a shadow, errors, and callers with hostile names."""

    def __init__(self, folder: Path) -> None:
        """Starts the server."""
        folder.mkdir()
        self.repository = Repository(folder)
        for name in ("tiny-ranker", "tiny-encoder"):
            shutil.copytree(TEST_MODELS / name, self.repository.path / name)
        for version, weights in ((1, trial.LIVE), (2, trial.ALIKE), (3, trial.WORSE)):
            self.repository.publish(trial.ranker(version, weights))
        self.say(1, "shadow = { version = 3, share = 100 }")
        # Trials give way to everything else on the machine, and have tests of their own.
        models = {"POLL_INTERVAL": "100ms", "DEFAULT": "tiny-ranker", "TRIAL": "false"}
        settings = {f"PODIUM_MODELS__{name}": value for name, value in models.items()}
        self.server = Server(self.repository.path, folder / "log", settings)
        self.client = Client(self.server.address)
        self.url = f"http://127.0.0.1:{self.server.admin_port}/"

    def say(self, live: int, more: str) -> None:
        """Says which version of the tried model is live."""
        rails = "guard_rails = { min_requests = 100000 }"
        self.repository.say(f"[models.{trial.NAME}]\nlive = {live}\nsplit = {{ 2 = 20 }}\n{more}\n{rails}\n")

    def load(self) -> None:
        """Sends requests of all kinds."""
        columns = [column("price", [1, 2, 3]), column("quality", [3, 1, 2])]
        for number in range(12):
            who: dict[str, Any] = {"caller": HOSTILE, "request_id": f"{number}{HOSTILE}"}
            self.client.rank(**tiny_request(ASKED), user={"id": "anna"}, **who)
            self.client.rank(model={"name": trial.NAME}, user={"id": str(number)},
                             candidates={"ids": ["a", "b", "c"], "columns": columns})  # fmt: skip
        refusal(lambda: self.client.rank(candidates={"ids": ["a", "a"]}))

    def close(self) -> None:
        """Ends the server."""
        self.client.close()
        self.server.kill()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A server that has something to show."""
    made = Shop(tmp_path_factory.mktemp("page") / "shop")
    reaches(made.client, trial.NAME, {1: "READY", 2: "READY", 3: "SHADOW"}, 120)
    reaches(made.client, "tiny-ranker", {1: "READY", 2: "READY"}, 120)
    made.load()
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with an empty profile."""
    with Browser(tmp_path_factory.mktemp("browser") / "profile") as running:
        yield running


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    """The operations page, filled; nobody may have complained by the end, and nothing may have been asked of others."""
    opened = browser.page()
    opened.look(*WIDE, "light")
    opened.open(shop.url)
    opened.wait_for("document.getElementById('try-request').value.length > 2")
    opened.wait_for("document.querySelector('#slowest-body td')")
    yield opened
    assert opened.complaints == []
    foreign = [url for url in opened.requested if not url.startswith(shop.url)]
    assert foreign == []
    opened.close()


def text_of(page: Page, element: str) -> str:
    """Returns the text of an element."""
    text: str = page.evaluate(f"document.getElementById({json.dumps(element)}).innerText")
    return text


def ask(page: Page, request: Any) -> None:
    """Writes a request into the form and sends it."""
    text = json.dumps(request if isinstance(request, str) else json.dumps(request))
    page.evaluate(f"(document.getElementById('try-request').value = {text}, 0)")
    page.evaluate("(document.getElementById('try-answer').replaceChildren(), 0)")
    page.evaluate("document.getElementById('try-send').click()")
    page.wait_for("document.getElementById('try-answer').children.length > 0")


def test_every_section_is_filled_under_load(page: Page, shop: Shop) -> None:
    sending = threading.Thread(target=shop.load)
    sending.start()
    page.wait_for("document.querySelector('#tiles .figure').innerText !== '0 a second'")
    sending.join()
    for section in SECTIONS:
        page.wait_for(f"document.getElementById('{section}').innerText.trim().length > 20")
    assert page.evaluate("document.querySelectorAll('#tiles .tile').length") == 6
    assert page.evaluate("document.querySelectorAll('main .empty').length") == 1, "nothing but the answer is missing"
    told = text_of(page, "models-body")
    for wanted in ("tiny-ranker/2", "tiny-encoder/1", "trial-ranker/3", "live", "20 % of users", "compared on 100 %"):
        assert wanted in told, wanted
    assert "shadow of 1" in text_of(page, "comparisons-body")
    assert "INVALID_FIELD" in text_of(page, "outcomes-body")
    assert "CACHED" in text_of(page, "outcomes-body")
    assert text_of(page, "state") == "Serving"


def test_a_swap_is_shown(page: Page, shop: Shop) -> None:
    shop.say(2, "shadow = { version = 3, share = 100 }")
    page.wait_for("document.getElementById('changes-body').innerText.includes('Live route of trial-ranker')")
    page.wait_for("document.getElementById('changes-body').innerText.includes('version 2')")
    shop.say(1, "shadow = { version = 3, share = 100 }")


def test_a_rank_is_tried_and_its_order_shown(page: Page, shop: Shop) -> None:
    page.evaluate("(document.getElementById('try-user').value = 'anna', 0)")
    page.evaluate("document.getElementById('try-user').dispatchEvent(new Event('input'))")
    request = json.loads(page.evaluate("document.getElementById('try-request').value"))
    assert request["user"]["id"] == "anna"
    ids = request["candidates"]["ids"]
    ask(page, request)
    page.wait_for("document.querySelector('#try-answer table')")
    shown = page.evaluate("[...document.querySelectorAll('#try-answer .item')].map((cell) => cell.innerText)")
    columns = [column(c["name"], next(iter(v["values"] for k, v in c.items() if k != "name")))
               for c in request["candidates"].get("columns", [])]  # fmt: skip
    context = [column(c["name"], next(iter(v["values"] for k, v in c.items() if k != "name")))
               for c in request.get("context", [])]  # fmt: skip
    same = shop.client.rank(model={"name": "tiny-ranker"}, user={"id": "anna"}, context=context,
                            candidates={"ids": ids, "columns": columns})  # fmt: skip
    assert shown == [item.id for item in same.items]
    told = text_of(page, "try-answer")
    for wanted in ("tiny-ranker/2", "user state", "Trace", "run", "ms"):
        assert wanted in told, wanted
    assert page.evaluate("document.querySelectorAll('#try-answer .stack rect').length") >= 3


def test_what_is_wrong_is_shown_by_field(page: Page) -> None:
    ask(page, {"candidates": {"ids": ["a", "a"]}})
    page.wait_for("document.querySelector('#try-answer .problem')")
    told = text_of(page, "try-answer")
    assert "INVALID_ARGUMENT" in told
    assert "candidates.ids[1]" in told
    ask(page, "{")
    assert "no JSON" in text_of(page, "try-answer")
    # The browser itself reports a refused request on the console.
    assert all("400" in complaint for complaint in page.complaints)
    page.complaints.clear()


def test_hostile_texts_are_texts(page: Page) -> None:
    page.wait_for(f"document.getElementById('slowest-body').innerText.includes({json.dumps(HOSTILE)})")
    ask(page, {"model": {"name": HOSTILE}, "request_id": HOSTILE, "candidates": {"ids": ["a"]}})
    page.wait_for("document.querySelector('#try-answer .problem')")
    assert HOSTILE in text_of(page, "try-answer")
    priced = [{"name": "price", "floats": {"values": [1.0]}}]
    ask(page, {"model": {"name": "tiny-ranker"}, "candidates": {"ids": [HOSTILE], "columns": priced}})
    page.wait_for("document.querySelector('#try-answer table')")
    assert HOSTILE in text_of(page, "try-answer")
    assert page.evaluate("document.querySelectorAll('img:not([src=\"/page/icon.svg\"])').length") == 0
    assert page.evaluate("window.hostile === undefined")
    page.complaints.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_it_reads_well(page: Page, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    page.look(*size, scheme)
    page.evaluate("document.getElementById('try-send').click()")
    page.wait_for("document.querySelector('#try-answer table')")
    page.screenshot(tmp_path / f"{size[0]}-{scheme}.png")
    found = page.evaluate(CONTRASTS)
    assert found["seen"] > 100
    assert found["wrong"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "nobody scrolls sideways"
    unnamed = """[...document.querySelectorAll('input, select, textarea, button, a, section')].filter((one) =>
        !(one.labels?.length || one.textContent.trim() || one.getAttribute('aria-labelledby'))).length"""
    assert page.evaluate(unnamed) == 0
    assert page.evaluate("document.querySelectorAll('th:not([scope])').length") == 0
    assert page.evaluate("document.querySelectorAll('header, main, footer, nav').length") == 4


def test_the_keyboard_is_enough(page: Page) -> None:
    for key, code, text in (("Tab", 9, ""), ("Enter", 13, "\r")):
        pressed: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        page.call("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        page.call("Input.dispatchKeyEvent", type="keyUp", **pressed)
    assert page.evaluate("location.hash") == "#try"


def test_nobody_is_asked_while_nobody_looks(page: Page) -> None:
    page.evaluate("(Object.defineProperty(document, 'hidden', { get: () => window.unseen, configurable: true }), 0)")
    page.evaluate("(window.unseen = true, document.dispatchEvent(new Event('visibilitychange')), 0)")
    time.sleep(1.5)
    page.evaluate("0")
    before = len(page.requested)
    time.sleep(2.5)
    page.evaluate("0")
    assert len(page.requested) == before
    page.evaluate("(window.unseen = false, document.dispatchEvent(new Event('visibilitychange')), 0)")
    page.wait_for("document.getElementById('state').innerText === 'Serving'")
    time.sleep(2.0)
    page.evaluate("0")
    assert len(page.requested) > before


def test_a_server_that_is_gone_is_told(browser: Browser, log: Path) -> None:
    opened = browser.page()
    with Server(TEST_MODELS, log) as server:
        opened.open(f"http://127.0.0.1:{server.admin_port}/")
        opened.wait_for("document.getElementById('state').innerText === 'Serving'")
        assert opened.evaluate("document.getElementById('stale').checkVisibility()") is False
        told = opened.evaluate("document.querySelector('#slowest-body').innerText")
        assert "No request has ended" in told, "what is empty says what to do"
    opened.wait_for("document.getElementById('state').innerText === 'No answer'")
    assert "does not answer" in text_of(opened, "stale")
    assert opened.evaluate("document.getElementById('stale').checkVisibility()") is True
    opened.close()
