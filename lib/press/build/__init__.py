"""From chapters to a published book: what is stale is executed, the pages are made, looked at, and put in place."""
