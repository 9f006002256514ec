"""From bytes to decoded media, within limits."""
