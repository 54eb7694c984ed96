"""Examples that run as they stand. They are shipped, so that `turnlog demo` works wherever turnlog is installed."""
