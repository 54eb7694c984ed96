"""Links: one connection that carries Realtime messages, in one process or over a WebSocket."""
