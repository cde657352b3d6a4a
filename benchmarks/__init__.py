"""Figures as ratios to the raw driver, measured in the same run: `python -m benchmarks`."""
