"""Ratios, measured side by side in one run. ``make bench`` runs all and writes results.md."""
