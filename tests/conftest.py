"""Property tests: the same examples every time, and no time limit of their own, as machines are shared and noisy."""

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
