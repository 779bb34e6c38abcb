"""The rules: pure functions over values. No clock, network, database, environment, randomness or
logging.
"""
