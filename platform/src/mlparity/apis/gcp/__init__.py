"""What of Google Cloud stands around Vertex AI and Cloud Storage: tokens, and the project itself."""
