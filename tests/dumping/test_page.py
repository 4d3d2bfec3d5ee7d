"""The page of a dump in headless Chromium, on a desktop and on a phone: every view draws, nothing needs a network."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import kernelforge as kf
from kernelforge import Tensor

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --virtual-time-budget=20000"""
WALK = """
<script>
addEventListener("error", (e) => found.errors.push(String(e.message)));
const found = { errors: [], views: {} };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
(async () => {
  while (!document.getElementById("main").dataset.ready) await wait(20);
  const views = ["overview", "kernels", "lines", "boundaries", "rewrites", "timeline", "roofline",
    "graph=0,asked", "graph=0,nodes", "graph=0,kernels", "kernel=" + M.kernels.find((k) => k.launches).name];
  for (const view of views) {
    location.hash = view;
    await wait(60);
    const main = document.getElementById("main");
    const drawn = [...main.querySelectorAll("canvas")].map((canvas) => {
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return new Set(pixels.filter((_, i) => i % 4 < 3)).size;
    });
    found.views[view.split("=")[0] + (view.split(",")[1] || "")] = {
      ready: main.dataset.ready, rows: main.querySelectorAll("tbody tr").length, text: main.innerText.slice(0, 60000),
      wide: document.documentElement.scrollWidth - innerWidth, colours: drawn,
    };
  }
  const lines = [...document.querySelectorAll("pre div.has")];
  const mine = lines.filter((row) => row.classList.contains("mark"));
  mine[0].click();
  found.marked = [...document.querySelectorAll(".two > div:last-child pre div.mark")].length;
  [...document.querySelectorAll(".two > div:last-child pre div.has")].pop().click();
  found.back = [...document.querySelectorAll(".two > div:first-child pre div.strong")].length;
  document.querySelector(".tabs a[data-kind=steps]").click();
  found.steps = [...document.querySelectorAll(".two details")].map((step) => [
    step.querySelector("b").textContent, step.querySelectorAll(".gone").length, step.querySelectorAll(".new").length]);
  document.body.replaceChildren(Object.assign(document.createElement("pre"),
    { id: "found", textContent: JSON.stringify(found) }));
})();
</script>
"""


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with kf.dump(folder):
        x = Tensor(np.ones((48, 64), np.float32))
        y = x @ x.T
        z = (y.gelu() + y.max(1, keepdim=True)).softmax()
        z.contiguous().log().sum(0).realize()
    return folder


def in_browser(page: Path, width: int, height: int) -> dict:
    """What a walk through all views finds."""
    walked = page.with_name(f"walk{width}.html")
    walked.write_text(page.read_text().replace("</body>", WALK + "</body>"))
    command = [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={page.parent}/profile{width}"]
    command += [f"--window-size={width},{height}", "--dump-dom", walked.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stdout[-500:] + done.stderr[-500:]
    return json.loads(html.unescape(match[1]))


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (500, 900)], ids=["desktop", "phone"])
def test_every_view_draws(dumped, width, height):
    found = in_browser(dumped / "index.html", width, height)
    views = found["views"]
    assert not found["errors"]
    assert all(view["wide"] <= 0 for view in views.values()), "nothing stands out of the window"
    for name in ("timeline", "roofline", "graphasked", "graphnodes", "graphkernels"):
        assert all(colours > 5 for colours in views[name]["colours"]) and views[name]["colours"], name
    manifest = json.loads((dumped / "manifest.json").read_text())
    launched = [kernel["name"] for kernel in manifest["kernels"] if kernel["launches"] or kernel["part_of"]]
    assert views["kernels"]["rows"] == len(launched)
    assert views["boundaries"]["rows"] == sum(len(plan["boundaries"]) for plan in manifest["plans"])
    assert "asked to be contiguous" in views["boundaries"]["text"]
    assert "simplify" in views["rewrites"]["text"] and "spelled out" in views["rewrites"]["text"]
    assert "OpenCL" in views["kernel"]["text"] and "Triton" in views["kernel"]["text"]
    assert "canonical" in {rule for rule, *_ in found["steps"]}
    assert all(gone + new for _, gone, new in found["steps"])
    assert found["marked"] > 0 and found["back"] > 0, "lines and statements show each other"


def test_the_page_needs_no_network(dumped):
    text = (dumped / "index.html").read_text()
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text) and "import(" not in text and "fetch(" not in text


def test_a_page_of_many_kernels_is_small(tmp_path):
    with kf.dump(tmp_path):
        for n in range(40):
            x = Tensor(np.ones((n + 3, n + 5), np.float32))
            (x.exp().softmax() @ x.T).sum().realize()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    size = (tmp_path / "index.html").stat().st_size
    assert size / len(manifest["kernels"]) < 5e6 / 300
