"""The shells for threads. Their twins for asyncio are in ``hookkit._async``."""
