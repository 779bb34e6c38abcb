"""A virtual clock, a virtual network and seeded faults: many payments live their lives in it, and
what must never happen is looked for after every event.
"""
