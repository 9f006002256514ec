"""Drawings with words: openclipart and two styles of emoji, and Tux Paint's photographs, which are only measured."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

RDF = {
    "cc": "http://web.resource.org/cc/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
PUBLIC_DOMAIN = "http://web.resource.org/cc/PublicDomain"
NAMED_BY = re.compile(r"^(clipart by .*? - )|[_\d]+|\(.*?\)|\.(svg|png)$", re.IGNORECASE)
"""What titles have beside words: who drew it, numbers, remarks in brackets."""
EMOJI_STYLES = ("noto", "fluent-emoji")
EMOJI_GROUPS = {0, 1, 3, 4, 5, 6, 7}
"""Without components, symbols and flags."""
EMOJI_SIDE = 256
MAX_TAGS = 6
MAX_CHARACTERS = 100
MAX_PIXELS = 4_000_000


@dataclass(frozen=True)
class Drawing:
    """A file and what it shows, in a few ways of saying it; the first is its title."""

    file: Path
    texts: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """A tenth, for choosing and measuring; what has the same title stays together."""
        return hashlib.sha256(self.texts[0].encode()).digest()[0] % 10 == 0


def openclipart(packages: Path) -> Iterator[Drawing]:
    """Those with title and tags that their RDF says are in the public domain."""
    share = packages / "debian/usr/share/openclipart"
    for svg in sorted((share / "svg").rglob("*.svg")):
        png = share / "png" / svg.relative_to(share / "svg").with_suffix(".png")
        if png.is_file() and is_small(png) and (texts := free_texts(svg)):
            yield Drawing(png, texts)


def is_small(file: Path) -> bool:
    with Image.open(file) as picture:
        return picture.width * picture.height <= MAX_PIXELS


def free_texts(svg: Path) -> tuple[str, ...]:
    """Title and tags; nothing if a part is missing or the licence is another."""
    try:
        work = ElementTree.parse(svg).find(".//cc:Work", RDF)
    except ElementTree.ParseError:
        return ()
    if work is None:
        return ()
    licence = work.find("cc:license", RDF)
    title = " ".join(NAMED_BY.sub(" ", work.findtext("dc:title", "", RDF)).split()).lower()
    tags = [" ".join((tag.text or "").split()).lower() for tag in work.findall("dc:subject//rdf:li", RDF)]
    tags = [tag for tag in tags if tag and tag != "unsorted"][:MAX_TAGS]
    if licence is None or licence.get(f"{{{RDF['rdf']}}}resource") != PUBLIC_DOMAIN or len(title) < 3 or not tags:
        return ()
    return title[:MAX_CHARACTERS], ", ".join(tags)[:MAX_CHARACTERS], tags[0]


def emoji(packages: Path, rendered: Path) -> Iterator[Drawing]:
    """In each style those that it has under the emoji's name; drawn into the folder ``rendered``."""
    known = json.loads((packages / "npm/emojibase-data/package/en/data.json").read_text())
    for style in EMOJI_STYLES:
        icons = json.loads((packages / f"npm/{style}/package/icons.json").read_text())
        for one in known:
            name = re.sub(r"[^a-z0-9]+", "-", one["label"].lower()).strip("-")
            if one.get("group") in EMOJI_GROUPS and name in icons["icons"]:
                file = rendered / style / f"{name}.png"
                render(icons, name, file)
                tags = one.get("tags", [])
                yield Drawing(file, (one["label"].lower(), ", ".join(tags[:MAX_TAGS]) or one["label"], *tags[:2]))


def render(icons: dict, name: str, file: Path) -> None:
    from resvg_py import svg_to_bytes

    if file.exists():
        return
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons.get(side)) for side in ("width", "height"))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(svg_to_bytes(svg_string=svg, width=EMOJI_SIDE, height=EMOJI_SIDE)))


def stamps(packages: Path) -> Iterator[Drawing]:
    """Tux Paint's photographs, with their descriptions: never trained on."""
    folder = packages / "debian/usr/share/tuxpaint/stamps"
    for file in sorted(folder.rglob("*.png")):
        described = file.with_suffix(".txt")
        if "cartoon" not in file.parts and "symbols" not in file.parts and described.is_file():
            yield Drawing(file, (described.read_text(errors="replace").splitlines()[0].strip(),))


def on_white(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")
