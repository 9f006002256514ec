"""Timings and recall, measured side by side in one run. See README.md."""
