"""How Alipay+ speaks: its messages, its signatures and a client. Decides nothing about a
payment.
"""
