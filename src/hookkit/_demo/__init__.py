"""The demonstration that ``hookkit demo`` runs: one event, its webhook, and whoever would like to abuse it."""
