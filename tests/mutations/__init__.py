"""The bugs of our peers, each as a small patch to our code, and the gate that demands they are
caught.
"""
