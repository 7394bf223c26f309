"""One module per HTTP client; each is imported only when it is used."""
