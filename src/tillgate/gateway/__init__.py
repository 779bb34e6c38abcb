"""The use cases: accept a payment, follow it to its end, take notifications."""
