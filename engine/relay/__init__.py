"""Sessions without a handler: every frame passes first and is recorded behind. Opened by an engine's `proxied`."""
