"""A client of Alipay+ by itself: written from the published facts, without a line of Tillgate. It
shares no code with the gateway, so that no mistake of ours is on both sides.
"""
