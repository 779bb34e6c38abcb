"""The simulation at depth gateway: the gateway's own code, store and wire against the sandbox's, in
one thread on virtual time.
"""
