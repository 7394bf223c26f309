"""What this auth server tells webhooks."""
