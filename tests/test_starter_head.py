"""What the starter's head was trained on: nothing that quality is measured on."""

import csv
from pathlib import Path

from PIL import Image, ImageDraw

from scripts.starter_head import held_out

ROOT = Path(__file__).parents[1]


def test_the_drawings_of_the_demo_are_held_out():
    with (ROOT / "example_project/demo_media/metadata.csv").open() as file:
        drawn = [row for row in csv.DictReader(file) if "openclipart" in row["source"]]
    assert len(drawn) == 44
    assert all(any(path in row["source"] for path in held_out.paths()) for row in drawn)


def test_the_list_is_held_out():
    assert set(held_out.LIST.read_text().split()) <= held_out.paths()


def test_what_looks_the_same_is_held_out_as_well(tmp_path, monkeypatch):
    def draw(name, colour, box):
        picture = Image.new("RGBA", (100, 100))
        ImageDraw.Draw(picture).ellipse(box, fill=colour)
        picture.save(tmp_path / name)

    draw("listed.png", "red", (10, 40, 90, 60))
    draw("recoloured.png", "darkgreen", (10, 40, 90, 60))
    draw("another.png", "red", (40, 10, 60, 90))
    monkeypatch.setattr(held_out, "paths", lambda: {"listed.png"})
    names = ["listed.png", "recoloured.png", "another.png"]
    assert held_out.alike(tmp_path, names) == {"listed.png", "recoloured.png"}
