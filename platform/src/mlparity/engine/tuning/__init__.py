"""Hyperparameter tuning: search spaces, search strategies, and the durable loop that runs a search's trials."""
