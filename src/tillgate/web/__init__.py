"""HTTP: turns requests into calls of the gateway and answers back. Decides nothing about a
payment.
"""
