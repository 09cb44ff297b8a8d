"""What every test shares: one hypothesis profile without wall-clock deadlines (CI machines stall)."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
