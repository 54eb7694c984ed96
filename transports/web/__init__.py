"""What everything that answers over HTTP shares: listening, uvicorn, bodies. Needs the extra `server`."""
