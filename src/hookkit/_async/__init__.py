"""The shells for asyncio. Their twins for threads are in ``hookkit._sync``."""
