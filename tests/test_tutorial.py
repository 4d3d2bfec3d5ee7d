"""The tutorial's code and the notebooks' cells run; the site's pages are there."""

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def test_the_tutorials_code_runs():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.DOTALL)
    space = {}
    for block in blocks:
        exec(compile(block, "tutorial.md", "exec"), space)
    assert space["last"] < space["first"]


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebooks_cells_run(path):
    space = {}
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        exec(compile("".join(cell["source"]), path.name, "exec"), space)
    assert space["page"].is_file() and "<code>" in space["y"]._repr_html_()


def test_the_site_has_all_its_pages():
    text = (DOCS.parent / "mkdocs.yml").read_text().partition("\nnav:")[2]
    pages = re.findall(r"([\w/]+\.md)", text)
    assert pages and all((DOCS / page).is_file() for page in pages)
