"""Links to the outside: the Realtime protocol, providers, callers and offline speech."""
