"""Vendors' built-in algorithms as small local programs with their containers' contract."""
