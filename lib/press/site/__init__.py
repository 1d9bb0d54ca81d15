"""What the pages look like: the Sphinx extension, the boards of the ledger, templates and styles."""
