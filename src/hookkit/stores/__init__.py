"""One module per database; each is imported only when it is used."""
