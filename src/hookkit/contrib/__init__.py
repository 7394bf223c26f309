"""Adapters for web frameworks: one module each, which imports its framework and nothing else that is not installed."""
