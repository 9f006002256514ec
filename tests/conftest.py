import os
import shutil
import subprocess

import pytest

MAY_SKIP = ("torchvision", "Python")
"""What even the machine that installs everything cannot have."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where everything is installed a skipped test is a failed one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        reason = str(call.excinfo.value) if call.excinfo else ""
        if not any(word in reason for word in MAY_SKIP):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped: {reason}"
    return report


@pytest.fixture(scope="session")
def toy_jina_clip(tmp_path_factory):
    """A folder with the toy's files."""
    from tests import toy_jina_clip

    folder = tmp_path_factory.mktemp("jina-clip")
    toy_jina_clip.make(folder / "files")
    return folder / "files"


@pytest.fixture
def celery():
    """A Celery application of the test's own, with no broker yet."""
    from celery import Celery, _state

    before = _state.default_app
    app = Celery("tests", set_as_current=True)
    app.set_default()
    yield app
    _state.set_default_app(before)
    _state._set_current_app(before)


@pytest.fixture
def redis(tmp_path):
    """The URL of a Redis of the test's own."""
    from tests.indexing.processes import wait_for

    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    socket_path = tmp_path / "redis.sock"
    with subprocess.Popen([server, "--port", "0", "--unixsocket", socket_path, "--save", ""], cwd=tmp_path) as process:
        wait_for(socket_path.exists)
        yield f"redis+socket://{socket_path}"
        process.terminate()
