"""Runs handlers on the log: App, HandlerLoop, RealtimeSession, the live loop, replay."""
