#!/usr/bin/env bash
# Programs from outside Python that tests need, on Debian; tests that lack theirs skip. Does nothing where all are there.
set -euo pipefail

declare -A packages=([redis-server]=redis-server [chromium]=chromium [xgettext]=gettext)
missing=()
for program in "${!packages[@]}"; do
    command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
if ((${#missing[@]})); then
    apt-get update --quiet --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}"
fi
