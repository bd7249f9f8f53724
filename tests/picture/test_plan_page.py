"""The page of a plan stands alone, shows every workload, and never hides one that is not served."""

from __future__ import annotations

import re
import shutil
from contextlib import redirect_stdout
from html.parser import HTMLParser
from importlib.resources import files
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hybrid.cli import app
from hybrid.picture import zones
from hybrid.picture.plan_page import render
from hybrid.picture.plan_view import MOST_BOXES, view
from placement.engine import plan
from placement.errors import PlacementError
from placement.problem import Problem
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.sites import a_link

CLINICS = Path(str(files("sites") / "examples" / "clinics"))


class _Tags(HTMLParser):
    """Collects what a browser would load, and whether every element that opens is closed."""

    VOID = ("meta", "br", "input", "link", "img", "rect", "path")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "link", "iframe"):
            self.loaded.append(tag)
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href") and str(value)[0] != "#"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def fleet(*, clinics: int = 2, need: str = "1GiB") -> Problem:
    stages = a_stage("sort"), a_stage("draft", models=["large"], after=["sort"])
    sites = [a_clinic(f"clinic-{at}", links=[a_link("dc-paris")]) for at in range(clinics)]
    large = a_model("large", a_variant(needs={"memory": need}))
    return a_problem(*sites, a_region("dc-paris"), a_model(), large, a_pipeline("reply", *stages))


def test_page_loads_nothing_and_is_well_formed() -> None:
    problem = fleet()
    page = render(plan(problem), problem)
    tags = _Tags()
    tags.feed(page)
    assert tags.loaded == []
    assert tags.open == []
    assert "http" not in page


def test_picture_is_an_svg_with_a_title_and_a_description() -> None:
    problem = fleet()
    page = render(plan(problem), problem)
    found = re.search(r"<svg.*?</svg>", page, re.DOTALL)
    assert found is not None
    drawn = ElementTree.fromstring(found.group())
    assert [child.tag for child in drawn[:2]] == ["title", "desc"]


def test_every_workload_stands_in_the_page() -> None:
    problem = fleet(clinics=5)
    made = plan(problem)
    page = render(made, problem)
    assert all(workload.id in page for workload in made.workloads)
    assert "Everything is served as declared" in page


def test_what_is_not_served_stands_in_the_page_with_its_causes() -> None:
    problem = fleet(need="2000GiB")
    made = plan(problem)
    assert len(made.unplaced) == 2
    page = render(made, problem)
    assert "2 not served" in page
    for workload in made.unplaced:
        assert workload.id in page
        assert all(family in page for cause in workload.causes for family in cause)


def test_names_are_escaped() -> None:
    hostile = zones.Node("a", "<script>", True, "<b>&", ("</svg>",))
    drawn = zones.draw([hostile], [], "<t>", "<d>")
    assert "<script>" not in drawn
    ElementTree.fromstring(drawn)


def test_sites_of_one_country_stand_together_where_they_are_many() -> None:
    problem = fleet(clinics=MOST_BOXES + 1)
    shown = view(plan(problem), problem)
    assert shown.collapsed
    assert [node.title for node in shown.nodes if node.left] == ["France: sites"]
    few = fleet(clinics=MOST_BOXES)
    assert len([node for node in view(plan(few), few).nodes if node.left]) == MOST_BOXES


@pytest.fixture
def clinics(tmp_path: Path) -> Path:
    """Return a folder with the example fleet and its plan beside it."""
    shutil.copytree(CLINICS, tmp_path / "fleet")
    with redirect_stdout(StringIO()), pytest.raises(SystemExit):
        app(["plan", str(tmp_path / "fleet"), "-o", str(tmp_path / "plan.json")])
    return tmp_path


def test_command_writes_the_page_beside_the_plan(clinics: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        app(["picture", str(clinics / "plan.json"), "--fleet", str(clinics / "fleet")])
    assert not done.value.code
    assert "patient-message@clinic-jura" in (clinics / "plan.html").read_text()
    assert capsys.readouterr().out.strip().endswith("plan.html")


def test_command_refuses_a_fleet_that_changed(clinics: Path) -> None:
    policy = clinics / "fleet" / "policy.yaml"
    policy.write_text(policy.read_text() + "\n# changed\n")
    with pytest.raises(PlacementError, match=r"policy\.yaml: changed"):
        app(["picture", str(clinics / "plan.json"), "--fleet", str(clinics / "fleet")])
    assert not (clinics / "plan.html").exists()


def test_a_crowded_picture_is_faint_until_somebody_points_at_a_box() -> None:
    nodes = [zones.Node(f"site-{at}", "EEA", at < 40, f"site-{at}", ()) for at in range(80)]
    few = [zones.Line("user.health", (f"site-{at}", f"site-{at + 40}"), "7") for at in range(8)]
    many = [zones.Line("user.health", (f"site-{at % 40}", f"site-{40 + at % 39}"), "7") for at in range(61)]
    plain, crowded = (ElementTree.fromstring(zones.draw(nodes, lines, "", "")) for lines in (few, many))
    assert plain.get("class") == "picture"
    assert plain.find("{*}style") is None
    assert crowded.get("class") == "picture crowded"
    style = crowded.find("{*}style")
    assert style is not None
    boxes = crowded.findall("{*}g[@tabindex='0']")
    assert len(boxes) == len(nodes)
    for number in range(len(nodes)):
        assert f".b{number}:is(:hover,:focus)) .e{number}" in str(style.text)
    told = [title.text for title in crowded.iterfind("{*}g/{*}title")]
    assert told[0] == "user.health, site-0 to site-40: 7"
