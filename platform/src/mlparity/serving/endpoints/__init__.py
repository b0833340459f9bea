"""Endpoints of every vendor: what is deployed, how traffic is split, and rollouts from one revision to the next."""
