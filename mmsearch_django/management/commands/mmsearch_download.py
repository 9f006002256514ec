from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from mmsearch_django.embedders import hub
from mmsearch_django.embedders.hub import Checkpoint, Listing
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.management import aliases


class Command(BaseCommand):
    help = "Fetches the files of an embedder from its model hub, at the revision in the settings, and tests them."
    # Checks would warn of the very files that are to be fetched.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        aliases.add_argument(parser)
        parser.add_argument(
            "--accept-licence", action="store_true", help="Accept a licence that forbids commercial use, or is unknown."
        )

    def handle(self, *, alias: str, accept_licence: bool, verbosity: int, **options: Any) -> None:
        checkpoint = aliases.find_embedder(alias).checkpoint
        if checkpoint is None:
            self.stdout.write(f"Embedder '{alias}' needs no download.")
            return
        if find_spec("huggingface_hub") is None:
            raise CommandError("huggingface_hub is not installed. Run: pip install huggingface_hub")
        try:
            if hub.is_offline():
                self.show(checkpoint)
            else:
                self.fetch(checkpoint, accepted=accept_licence, quiet=verbosity == 0)
        except EmbedderUnavailable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"All is in {checkpoint.place}. To try it, run: manage.py mmsearch_selftest {alias}")

    def fetch(self, checkpoint: Checkpoint, *, accepted: bool, quiet: bool) -> None:
        listing = hub.listing(checkpoint)
        self.stdout.write(f"{checkpoint}: {filesizeformat(sum(file.size for file in listing.files))}")
        require_licence(checkpoint, listing, accepted=accepted)
        for file in listing.files:
            digest = hub.download(checkpoint, file, quiet=quiet)
            self.stdout.write(line(file.name, file.size, digest, listing.licence))

    def show(self, checkpoint: Checkpoint) -> None:
        """Without the network, what is there."""
        if lacks := checkpoint.missing():
            raise EmbedderUnavailable(
                f"{', '.join(lacks)} of {checkpoint} is not in {checkpoint.place}, and HF_HUB_OFFLINE forbids to fetch "
                "it. Unset it, or bring the files from another machine."
            )
        self.stdout.write(f"{checkpoint}, offline: not compared with the hub.")
        for name in checkpoint.present():
            path = checkpoint.path(name)
            self.stdout.write(line(name, path.stat().st_size, hub.digests(path)[0], checkpoint.licence))


def require_licence(checkpoint: Checkpoint, listing: Listing, *, accepted: bool) -> None:
    if accepted or hub.is_commercial(listing.licence):
        return
    raise CommandError(
        f"The licence of {checkpoint.model} is {listing.licence or 'not stated'}: not for commercial use, as far as is "
        "known. Read its card. Where it allows what you do, run the command again with --accept-licence; else choose "
        "another embedder. Nothing was downloaded."
    )


def line(name: str, size: int, digest: str, licence: str) -> str:
    fields: Iterable[str] = (name, filesizeformat(size), f"sha256 {digest}", licence or "licence not stated")
    return "  " + "  ".join(fields)
