"""The paper's Figures 1, 3, 4 and 5, drawn from results, a video and a run."""
