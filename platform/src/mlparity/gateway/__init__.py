"""Listeners: what a request that arrives at a local port is for."""
