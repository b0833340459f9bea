"""Profiles: ``stacks/*.yaml`` resolved to frozen values, each with where it came from, and the clients' environment."""
