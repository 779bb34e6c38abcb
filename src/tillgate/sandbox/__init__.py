"""The other side: plays the Alipay+ network and the wallets, in a process of its own.

Never imports the gateway, its store or its client: what it says about the money must not depend on
what the gateway believes.
"""
