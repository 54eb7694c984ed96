"""Scripts of the checkout (set up, lock, generate); nothing here is shipped, nothing in turnlog imports it."""

__all__: list[str] = []
