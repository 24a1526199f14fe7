"""Training: single runs, runs side by side, single epochs; results, and the quality of a fit."""
