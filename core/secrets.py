"""What is kept of a key or token: its digest. Random bytes are made elsewhere."""

import hashlib
from typing import Final

__all__ = ["KEY_PREFIX", "digest"]

KEY_PREFIX: Final = "tl_"
"""How API keys begin that `turnlog keys create` makes: who finds one knows whose it is."""


def digest(secret: str) -> bytes:
    """32 bytes. Secrets are random and long, so no salt and no slow hash is needed."""
    return hashlib.blake2b(secret.encode(errors="surrogatepass"), digest_size=32).digest()
