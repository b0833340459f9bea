"""What watches deployed models: baselines, statistics and drift of captured data, and the loop that retrains."""
