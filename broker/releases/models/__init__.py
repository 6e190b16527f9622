from .release import Delivery, Receipt, Release, TraceEntry

__all__ = ["Delivery", "Receipt", "Release", "TraceEntry"]
