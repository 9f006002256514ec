import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import psutil
import pytest
from PIL import Image

from mmsearch_django.exceptions import (
    ConfigurationError,
    CorruptFile,
    DecoderDied,
    TooManyPixels,
    TooMuchMemory,
    TooMuchTime,
)
from mmsearch_django.media import images, sandbox
from mmsearch_django.media.sandbox import KEPT, Sandbox
from tests.colours import encoded
from tests.indexing.processes import wait_for
from tests.media import deadly, reader

READY = """
import json, os, socket, struct, sys, time
connection = socket.socket(fileno=0)
def send(header, body=b''):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    connection.sendall(struct.pack('>II', len(head), len(body)) + head + body)
send({})
connection.recv(8)
"""
"""The beginning of a decoder that a test writes; it has seen that there is a file."""


@pytest.fixture
def started():
    """Makes a sandbox with another decoder; after the test none of its processes may be left."""
    made = []

    def start(command):
        made.append(Sandbox(command))
        return made[-1]

    yield start
    processes = [decoder.process for one in made for decoder in one.living]
    for one in made:
        one.close()
    assert all(process.returncode is not None for process in processes)


@pytest.fixture
def scripted(started):
    return lambda script: started([sys.executable, "-c", READY + script])


@pytest.fixture
def deadly_to(started):
    return started(deadly.COMMAND)


def file(*, deadly_by=None):
    return encoded("red") + (deadly.DEADLY + deadly_by.encode() if deadly_by else b"")


def children():
    """Of this process, zombies too."""
    return {child.pid for child in psutil.Process().children()}


class TestPictures:
    def test_they_are_the_same_as_without_it(self):
        image = Image.effect_noise((1500, 700), 80).convert("RGB")
        for format in ("JPEG", "PNG", "WEBP"):
            data = BytesIO()
            image.save(data, format)
            decoded = sandbox.decoders.decode(data.getvalue(), "a")
            assert decoded.tobytes() == images.decode_here(data.getvalue(), "a").tobytes()

    def test_one_process_serves_many_files(self, started):
        own = started(sandbox.COMMAND)
        before = children()
        for _ in range(5):
            own.decode(file(), "a")
        [decoder] = own.living
        assert children() - before == {decoder.process.pid}

    def test_errors_keep_their_class_and_message(self):
        for data in (encoded("red")[:50], b"GIF89a" + b"\xff" * 20):
            with pytest.raises(CorruptFile) as here:
                images.decode_here(data, "a\udc80.png")
            with pytest.raises(CorruptFile) as there:
                sandbox.decoders.decode(data, "a\udc80.png")
            assert str(there.value).split(" at 0x")[0] == str(here.value).split(" at 0x")[0]

    def test_the_limits_of_the_site_reach_it(self, settings):
        settings.MMSEARCH = {"MAX_PIXELS": 3}
        with pytest.raises(TooManyPixels, match=r"MMSEARCH\['MAX_PIXELS'\] is 3"):
            sandbox.decoders.decode(file(), "a")
        settings.MMSEARCH = {}
        assert sandbox.decoders.decode(file(), "a")

    def test_readers_that_the_site_registered(self, monkeypatch, started):
        own = started(sandbox.COMMAND)
        reader.register(monkeypatch)
        assert own.decode(reader.SIGNATURE + bytes(range(24)), "a.heic").getpixel((3, 1)) == (21, 22, 23)

    def test_a_reader_that_cannot_be_imported_harms_nobody(self, monkeypatch, started):
        class Local(reader.Reader):
            pass

        monkeypatch.setitem(Image.OPEN, "HEIF", (Local, None))
        assert started(sandbox.COMMAND).decode(file(), "a")

    def test_threads_have_decoders_of_their_own(self, started):
        own = started(sandbox.COMMAND)
        colours = ["red", "green", "blue", "white"] * 5
        with ThreadPoolExecutor(KEPT + 2) as pool:
            decoded = list(pool.map(lambda colour: own.decode(encoded(colour), colour), colours))
        assert [image.tobytes() for image in decoded] == [
            images.decode_here(encoded(colour), "").tobytes() for colour in colours
        ]
        assert 1 <= len(own.living) == len(own.idle) <= KEPT


class TestDeath:
    @pytest.mark.parametrize(
        ("script", "ending"),
        [
            ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
            ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
            ("os.abort()", "killed by SIGABRT"),
            ("sys.exit(3)", "exit status 3"),
            ("os._exit(0)", "exit status 0"),
            ("connection.close(); time.sleep(60)", "killed by SIGKILL"),
            ("connection.sendall(b'half'); os._exit(0)", "exit status 0"),
        ],
    )
    def test_a_decoder_that_ends(self, scripted, script, ending):
        before = children()
        with pytest.raises(DecoderDied, match=rf"'a.png' ended the process that did it, twice \({ending}\)") as caught:
            scripted(script).decode(file(), "a.png")
        assert caught.value.permanent
        assert children() == before

    @pytest.mark.parametrize(
        "answer",
        [
            "connection.sendall(b'\\xff' * 4096)",
            "send(b'no json')",
            "send(b'[' * 60000)",
            "send([])",
            "send({})",
            "send({'size': [2, 2]}, bytes(11))",
            "send({'size': [-2, -2]}, bytes(12))",
            "send({'size': ['2', 2]}, bytes(12))",
            "send({'size': [2, 2, 2]}, bytes(12))",
            "send({'error': 'SystemExit', 'message': ''})",
            "send({'error': 'MmsearchError', 'message': ''})",
            "send({'error': 'ClassVar', 'message': ''})",
        ],
    )
    def test_an_answer_that_is_none(self, scripted, answer):
        with pytest.raises(DecoderDied, match="it answered nonsense"):
            scripted(f"{answer}; time.sleep(60)").decode(file(), "a.png")

    @pytest.mark.parametrize("begun", [b"", b"half", b"\0\0\0\2\0\0\0\x0c{}123"])
    def test_an_answer_that_does_not_come(self, scripted, settings, begun):
        settings.MMSEARCH = {"DECODE_SECONDS": 0.2}
        before, start = children(), time.monotonic()
        with pytest.raises(TooMuchTime):
            scripted(f"connection.sendall({begun!r}); time.sleep(60)").decode(file(), "a.png")
        assert time.monotonic() - start < 30
        assert children() == before

    def test_one_that_does_not_even_read(self, scripted, settings):
        settings.MMSEARCH = {"DECODE_SECONDS": 0.2}
        with pytest.raises(TooMuchTime, match=r"'a.png' takes longer than 0.2 seconds .*DECODE_SECONDS"):
            scripted("time.sleep(60)").decode(bytes(20_000_000), "a.png")

    def test_an_innocent_has_a_second_try(self, scripted, tmp_path):
        flag = str(tmp_path / "died")
        own = scripted(
            f"if not os.path.exists({flag!r}): open({flag!r}, 'w'); os.kill(os.getpid(), 9)\n"
            "send({'size': [1, 1]}, b'abc'); time.sleep(60)"
        )
        assert own.decode(file(), "a").getpixel((0, 0)) == (97, 98, 99)

    def test_a_file_is_tried_twice_and_not_more(self, scripted, tmp_path):
        with pytest.raises(DecoderDied):
            scripted(f"open({str(tmp_path / 'tries')!r}, 'a').write('x')").decode(file(), "a")
        assert (tmp_path / "tries").read_text() == "xx"

    def test_an_idle_one_that_was_killed_is_replaced(self, started):
        own = started(sandbox.COMMAND)
        own.decode(file(), "a")
        [decoder] = own.living
        os.kill(decoder.process.pid, signal.SIGKILL)
        assert own.decode(file(), "a")
        assert decoder not in own.living

    @pytest.mark.parametrize(
        ("by", "error"),
        [("segfault", DecoderDied), ("abort", DecoderDied), ("greedy", TooMuchMemory), ("endless", TooMuchTime)],
    )
    def test_files_that_kill_the_real_one(self, deadly_to, settings, by, error):
        settings.MMSEARCH = {"DECODE_SECONDS": 1, "DECODE_MEMORY": 300 * 1024**2}
        with pytest.raises(error, match=r"'a\.png'"):
            deadly_to.decode(file(deadly_by=by), "a.png")
        assert deadly_to.decode(file(), "b.png")

    def test_what_interrupts_the_thread_leaves_no_half_answer(self, deadly_to):
        class SoftTimeLimit(Exception):
            pass

        def interrupt(*arguments):
            raise SoftTimeLimit

        deadly_to.decode(file(), "a")
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(SoftTimeLimit):
                deadly_to.decode(file(deadly_by="endless"), "a")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert not deadly_to.living
        assert deadly_to.decode(encoded("blue"), "b").getpixel((0, 0)) == (0, 0, 255)


class TestStart:
    @pytest.mark.parametrize(
        "command",
        [
            ["/no/such/python"],
            [sys.executable, "-c", "raise SystemExit(4)"],
            [sys.executable, "-c", "import socket; socket.socket(fileno=0).sendall(b'Hello, world')"],
        ],
    )
    def test_it_is_not_the_files_fault(self, started, command):
        before = children()
        with pytest.raises(ConfigurationError, match=r"cannot be started .* MMSEARCH\['SANDBOX'\] = False"):
            started(command).decode(file(), "a")
        assert children() == before

    @pytest.mark.parametrize("switched_off", [True, False])
    def test_without_it(self, settings, monkeypatch, switched_off):
        settings.MMSEARCH = {"SANDBOX": not switched_off}
        monkeypatch.setattr(sandbox, "AVAILABLE", switched_off)
        monkeypatch.setattr(sandbox, "decoders", None)
        assert images.decode(file(), name="a").mode == "RGB"

    def test_by_default_pictures_are_decoded_in_it(self, started, monkeypatch):
        monkeypatch.setattr(sandbox, "decoders", started([sys.executable, "-c", READY + "os._exit(0)"]))
        with pytest.raises(DecoderDied):
            images.decode(file(), name="a")


ALONE = """
import os, sys, time
from multiprocessing import get_context
from django.conf import settings
settings.configure(MMSEARCH={"DECODE_SECONDS": 2})
from mmsearch_django.media.sandbox import decoders
from tests.media import deadly

PICTURE = b"P6 1 1 255 abc"

def own():
    decoders.decode(PICTURE, "a")
    print(*(decoder.process.pid for decoder in decoders.living), flush=True)

own()
"""


def lines(process, count):
    return [process.stdout.readline().split() for _ in range(count)]


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


class TestOwners:
    """Processes that decode, and what is left of their decoders."""

    @pytest.fixture
    def run(self):
        processes = []

        def start(script):
            command = [sys.executable, "-c", ALONE + script]
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            return processes[-1]

        yield start
        for process in processes:
            process.kill()
            process.communicate()

    def test_the_owner_ends(self, run):
        process = run("")
        [[pid]] = lines(process, 1)
        assert process.wait(20) == 0
        wait_for(lambda: gone(int(pid)))

    def test_the_owner_is_killed(self, run):
        process = run("time.sleep(60)")
        [[pid]] = lines(process, 1)
        assert not gone(int(pid))
        process.kill()
        wait_for(lambda: gone(int(pid)))

    def test_the_owner_is_killed_while_a_file_is_endless(self, run):
        process = run(
            "decoders.close(); decoders.command = deadly.COMMAND; own()\n"
            "decoders.decode(PICTURE + deadly.DEADLY + b'endless', 'a')"
        )
        _, [pid] = lines(process, 2)
        wait_for(lambda: psutil.Process(int(pid)).status() == psutil.STATUS_RUNNING)
        process.kill()
        wait_for(lambda: gone(int(pid)))

    def test_a_fork_has_its_own_as_in_a_pool_of_celery(self, run):
        process = run(
            "child = get_context('fork').Process(target=lambda: (own(), time.sleep(60)), daemon=True)\n"
            "child.start(); time.sleep(60)"
        )
        [[ours], [theirs]] = lines(process, 2)
        assert ours != theirs
        [fork] = [one for one in psutil.Process(process.pid).children() if one.pid != int(ours)]
        process.kill()
        wait_for(lambda: gone(int(ours)))  # Though the fork still lives.
        assert not gone(int(theirs))
        fork.kill()
        wait_for(lambda: gone(int(theirs)))

    def test_signals_for_the_group_leave_it_to_its_owner(self, run):
        process = run("time.sleep(60)")
        [[pid]] = lines(process, 1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(int(pid), number)
        time.sleep(0.2)
        assert not gone(int(pid))
