"""The `turnlog` command."""
