"""Offline speech: voice activity, recognition and synthesis, each behind a small protocol."""
