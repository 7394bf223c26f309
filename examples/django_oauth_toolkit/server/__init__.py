"""What this OAuth server tells webhooks."""
