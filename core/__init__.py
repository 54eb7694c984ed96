"""The pure core: events, folds and decisions. No I/O, no clock, no ids, no asyncio."""
