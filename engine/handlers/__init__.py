"""What a handler runs on: its loop, what it may ask for, and what is told of it when it does what would not replay."""
