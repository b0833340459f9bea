"""Vertex AI: one dispatch behind REST and gRPC, over the substrate."""
