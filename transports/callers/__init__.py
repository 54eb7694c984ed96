"""The person's side of a session: one module a transport."""
