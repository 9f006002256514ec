"""Files that nobody should have to open, through the whole pipeline. scripts/make_hostile_files.py makes them."""

import resource
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from mmsearch_django.exceptions import (
    ASSET_ERRORS,
    AssetError,
    CorruptFile,
    DecoderDied,
    FileTooLarge,
    MissingFile,
    StorageUnavailable,
    TooManyPixels,
    TooMuchMemory,
    TooMuchTime,
    UnsupportedFile,
)
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.media import images, sandbox
from mmsearch_django.models import State
from scripts import make_hostile_files as hostile
from tests.colours import encoded
from tests.indexing.conftest import embed_all, state_of
from tests.media import deadly
from tests.models import Asset

MEBIBYTE = 1024 * 1024
NEIGHBOURS = {"first.png": "red", "middle.png": "green", "last.png": "blue"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    hostile.write(folder)
    return folder


@pytest.fixture
def fresh(monkeypatch):
    """A sandbox whose decoders have seen no file yet; its command may be changed."""
    own = sandbox.Sandbox()
    monkeypatch.setattr(sandbox, "decoders", own)
    yield own
    own.close()


@pytest.fixture
def visual(db, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    return target(embedding_fields(Asset)["visual"])


def add(folder, files):
    """An asset for each file, by its name."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return dict(zip(files, Asset.objects.bulk_create(Asset(file=name) for name in files), strict=True))


def read(storage, name):
    return images.read(SimpleNamespace(name=name, storage=storage))


def high_water(pid):
    """The most memory that the process ever held, in bytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def assert_unharmed(visual, assets):
    """The neighbours are ready, each with the vector of its own picture."""
    for name, colour in NEIGHBOURS.items():
        image = images.decode_here(encoded(colour), name)
        own = visual.field.embedder.embed_images([image])[0]
        assert np.allclose(np.asarray(Asset.objects.get(pk=assets[name].pk).visual.vector), own, atol=1e-3), name


class TestAll:
    def test_each_ends_alone_and_within_memory(self, visual, folder, settings, fresh):
        settings.MEDIA_ROOT = folder
        hostile_names = sorted(path.name for path in folder.iterdir())
        for name, colour in NEIGHBOURS.items():
            (folder / name).write_bytes(encoded(colour))
        half = len(hostile_names) // 2
        names = ["first.png", *hostile_names[:half], "middle.png", *hostile_names[half:], "last.png"]
        assets = dict(zip(names, Asset.objects.bulk_create(Asset(file=name) for name in names), strict=True))
        Path("/proc/self/clear_refs").write_text("5")  # Forgets its own high water.
        before = high_water("self")
        assert embed_all(visual, size=50).total() == len(names)

        assert high_water("self") - before < 350 * MEBIBYTE  # A batch of pictures, and a file of 28 MB.
        assert all(high_water(decoder.process.pid) < 800 * MEBIBYTE for decoder in fresh.living)
        assert_unharmed(visual, assets)
        found = {name: state_of(visual, asset) for name, asset in assets.items()}
        assert {state.attempts for state in found.values()} == {0}
        self.assert_typed(found)

    def assert_typed(self, found):
        known = {error.__name__ for error in ASSET_ERRORS if error.permanent}
        failed = {name: state.error_class for name, state in found.items() if state.status == State.Status.FAILED}
        assert set(failed.values()) <= known - {"WorkerDied", "DecoderDied", "TooMuchTime", "TooMuchMemory"}
        assert all("root:" not in state.message for state in found.values())
        for names, error in REFUSED:
            assert {name: failed.get(name) for name in names} == dict.fromkeys(names, error.__name__)
        assert all(found[name].status == State.Status.READY for name in HARMLESS)
        assert found["a.pdf"].status == State.Status.SKIPPED
        assert Counter(state.status for state in found.values()).keys() == {"ready", "failed", "skipped"}


REFUSED = (
    (
        [
            "header-100000.png",
            "screen-65535.gif",
            "frame-65535.gif",
            "webp-16383.webp",
            "tiff-strip.tiff",
            "billion.ppm",
        ],
        TooManyPixels,
    ),
    (["iccp.png", "ztxt.png", "itxt.png", "no-size.png", "no-first-frame.gif", "many-entries.tiff"], CorruptFile),
    ([f"cut-{int(share * 100)}.{name.lower()}" for name in hostile.FORMATS for share in hostile.CUTS], CorruptFile),
    (["text.jpg", "program.png", "zeros.png", "postscript.jpg", "svg.png", "playlist.webp"], UnsupportedFile),
    (["pipe.png", "zero.png", "passwd.png"], UnsupportedFile),
    (["folder.png", "up.png", "loop.png"], MissingFile),
)
HARMLESS = (
    *("grey-9400.png", "grey-6000.webp", "grey-9400.tiff"),
    *("jpeg.png", "png.mp4", "jpeg-zip.jpg", "jpeg-php.jpg", "gifar.gif", "html.png"),
    *("frames-5000.gif", "no-end.gif", "frames-500.webp", "frames-500.png"),
    *(f"exif-{number}.{suffix}" for number in range(5) for suffix in ("jpg", "webp", "png")),
    *("cyclic.tiff", "icc-rubbish.jpg", "comments.jpg", "1x1000000.png", "1000000x1.png", "1x65000.jpg", "65000x1.jpg"),
    *("CMYK.jpeg", "CMYK.tiff", "1.png", "I-16.png", "F.tiff", "LAB.tiff"),
)


class TestDeadly:
    def test_files_that_kill_cost_nothing_but_themselves(self, visual, tmp_path, settings, fresh):
        settings.MMSEARCH = {**settings.MMSEARCH, "DECODE_SECONDS": 1, "DECODE_MEMORY": 300 * MEBIBYTE}
        fresh.command = deadly.COMMAND
        kinds = {"segfault": DecoderDied, "greedy": TooMuchMemory, "endless": TooMuchTime}
        red, green, blue = ((name, encoded(colour)) for name, colour in NEIGHBOURS.items())
        bad = [(f"{kind}.png", encoded("white") + deadly.DEADLY + kind.encode()) for kind in kinds]
        assets = add(tmp_path, dict([red, *bad[:2], green, bad[2], blue]))
        assert embed_all(visual) == {"ready": 3, "failed": 3}
        assert_unharmed(visual, assets)
        for kind, error in kinds.items():
            state = state_of(visual, assets[f"{kind}.png"])
            assert (state.error_class, state.attempts) == (error.__name__, 0)
            assert f"'{kind}.png'" in state.message
            assert error.advice in state.message
        assert len(fresh.living) == 1

    def test_a_decoder_that_cannot_start_fails_nobody(self, visual, tmp_path, fresh):
        fresh.command = ["/no/such/python"]
        asset = add(tmp_path, {"a.png": encoded("red")})["a.png"]
        with pytest.raises(Exception, match="cannot be started"):
            embed_all(visual)
        assert (state_of(visual, asset).status, state_of(visual, asset).attempts) == ("pending", 0)


class TestMemory:
    @pytest.mark.parametrize("name", ["grey-9400.png", "grey-9400.tiff", "grey-6000.webp"])
    def test_a_bomb_within_the_limit_of_pixels(self, folder, settings, fresh, monkeypatch, name):
        settings.MMSEARCH = {"DECODE_MEMORY": 110 * MEBIBYTE}
        peaks = []
        end = sandbox.Decoder.end

        def ended(self, patience=0):
            peaks.append(high_water(self.process.pid))
            return end(self, patience)

        monkeypatch.setattr(sandbox.Decoder, "end", ended)
        with pytest.raises((TooMuchMemory, CorruptFile)):  # Not every reader says why it failed.
            fresh.decode((folder / name).read_bytes(), name)
        peaks += [high_water(decoder.process.pid) for decoder in fresh.living]
        assert peaks
        assert max(peaks) < 160 * MEBIBYTE

    def test_the_limit_is_lifted_for_nobody_else(self, folder, settings, fresh):
        settings.MMSEARCH = {"DECODE_MEMORY": 110 * MEBIBYTE}
        with suppress(TooMuchMemory):
            fresh.decode((folder / "grey-9400.png").read_bytes(), "a")
        settings.MMSEARCH = {}
        assert fresh.decode((folder / "grey-9400.png").read_bytes(), "a").size == (1024, 1024)
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY


class TestPrograms:
    def test_no_program_is_started(self, folder, tmp_path, monkeypatch, fresh):
        for name in ("gs", "rsvg-convert", "convert", "magick", "inkscape"):
            (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        for path in folder.glob("*.*"):
            if path.suffix in {".eps", ".svg", ".pdf", ".psd", ".mvg"} or path.name.startswith(("postscript", "svg")):
                with pytest.raises(UnsupportedFile):
                    fresh.decode(path.read_bytes(), path.name)
        [decoder] = fresh.living
        assert not psutil.Process(decoder.process.pid).children()
        assert not (tmp_path / "started").exists()


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "a\0.png",
            "../../../etc/passwd",
            "/etc/passwd",
            "a/../../b.png",
            "half \ud800.png",
            "x" * 5000 + ".png",
            "/".join(["x"] * 5000),
            "new\nline.png",
        ],
    )
    def test_there_is_no_such_file(self, tmp_path, name):
        with pytest.raises(MissingFile) as caught:
            read(FileSystemStorage(tmp_path), name)
        assert "root:" not in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["new\nline.png", "bytes \udcff.png", "x" * 200 + ".png", "%s {0} '\".png"])
    def test_odd_names_of_good_files(self, tmp_path, name):
        (tmp_path / name).write_bytes(encoded("red"))
        assert read(FileSystemStorage(tmp_path), name).image.mode == "RGB"
        (tmp_path / name).write_bytes(encoded("red")[:40])
        with pytest.raises(CorruptFile):
            read(FileSystemStorage(tmp_path), name)


class EndlessStorage(InMemoryStorage):
    """Gives a GIF whose frames never end, in parts, with a pause before each."""

    def __init__(self, pause):
        super().__init__()
        self.pause = pause

    def _open(self, name, mode="rb"):
        return EndlessStream(self.pause)


class EndlessStream:
    def __init__(self, pause):
        self.pause = pause
        self.head = next(data for name, data in hostile.animations() if name == "no-end.gif")[:1000]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def read(self, size):
        time.sleep(self.pause)
        part, self.head = self.head[:size], self.head[size:] or self.head
        return part


class TestStreams:
    def test_one_without_end_is_read_up_to_the_limit(self, settings):
        settings.MMSEARCH = {"MAX_BYTES": 200_000}
        with pytest.raises(FileTooLarge):
            read(EndlessStorage(0), "a.gif")

    def test_one_that_trickles_is_given_up(self, settings):
        settings.MMSEARCH = {"READ_SECONDS": 0.1}
        with pytest.raises(StorageUnavailable, match=r"READ_SECONDS'\], 0.1 seconds") as caught:
            read(EndlessStorage(0.02), "a.gif")
        assert not caught.value.permanent


def test_the_digest_of_a_pipe_does_not_wait(folder):
    with pytest.raises(AssetError, match="no regular file"):
        images.digest(SimpleNamespace(name="pipe.png", storage=FileSystemStorage(folder)))
