"""The PostgreSQL store for asyncio. Each file here has its twin in ``_sync``, equal but for ``await``."""
