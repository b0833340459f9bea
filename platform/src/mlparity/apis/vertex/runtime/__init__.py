"""Vertex AI's prediction wire front of the router: no protobuf, no database."""
