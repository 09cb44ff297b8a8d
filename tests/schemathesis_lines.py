"""Tells schemathesis, which imports this, how lines are sent: as they are."""

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def lines(_context: object, value: object) -> object:
    return value.encode() if isinstance(value, str) else str(value).encode()
