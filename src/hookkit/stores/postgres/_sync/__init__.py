"""The PostgreSQL store for threads. Each file here has its twin in ``_async``, equal but for ``await``."""
