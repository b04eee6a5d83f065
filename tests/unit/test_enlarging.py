"""What enlarges a cell's picture without a kernel, and says where its original is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gradient_notebook as gn
from gradient_notebook.notebook.enlarging import disclosure
from gradient_notebook.simulator import Simulator


@pytest.fixture
def job(configured: Simulator) -> gn.Job:
    job = gn.submit("A fox", quality="low", size="1024x1536")
    job.result()
    return job


def test_it_says_what_opens_the_original(job: gn.Job) -> None:
    """Code that a person can copy, by the variable's name and by the record, finds the whole image."""
    page = disclosure("fox", job)
    name, code = re.findall("<code>(.+?)</code>", page)
    found = eval(code.replace("&quot;", '"'), {"history": gn.history})
    assert (name, found.size) == ("fox", (1024, 1536))


def test_its_style_is_about_pictures_of_its_own_shape(job: gn.Job) -> None:
    """Two captions in one page do not enlarge each other's pictures to a wrong shape: the class has the shape."""
    page = disclosure("fox", job)
    (name,) = re.findall('<details class="([^"]+)"', page)
    assert name == "gradient-large-67"
    assert f".{name}[open]" in page
    assert "*0.67)" in page


def test_a_page_links_to_files_under_the_notebooks_folder_and_to_no_others(
    job: gn.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server refuses what is elsewhere and what is hidden; a name is an address, whatever it holds."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    here = Path.cwd()
    files = [here / "out" / 'a "fox" #1.png', here.parent / "else.png", here / ".hidden" / "fox.png"]
    files.append(here / "javascript:alert(1)")
    page = disclosure("fox", job, files)
    links = re.findall('<a href="([^"]*)"', page)
    assert links == ["out/a%20%22fox%22%20%231.png", "javascript%3Aalert%281%29"]
