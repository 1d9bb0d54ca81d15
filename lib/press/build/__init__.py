"""From chapters to a published book: what is stale is executed, the pages are made, looked at, and put in place."""

import sys

# jsonschema, which nbformat brings, builds a grammar of web addresses on import: most of a second, for nothing here.
sys.modules.setdefault("rfc3987_syntax", None)
