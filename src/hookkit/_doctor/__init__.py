"""What ``hookkit doctor`` does: it reads a store's tables, and says what is wrong with them and what to do."""
