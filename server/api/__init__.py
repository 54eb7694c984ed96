"""turnlog's own API under /v1/turnlog: sessions, their events, words and audio, and what can be asked of them."""
