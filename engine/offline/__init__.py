"""What is done with a log that is there: replayed, asked what if, forked, decided anew. No session runs."""
