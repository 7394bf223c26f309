"""Migrations: they run the numbered SQL that hookkit's stores themselves run."""
