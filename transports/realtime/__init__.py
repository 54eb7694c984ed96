"""The OpenAI Realtime protocol, without I/O: wire, client, server, audio."""
