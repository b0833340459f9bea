"""One durable bucket store, and the wire protocols that speak to it."""
