from .key import DataKey

__all__ = ["DataKey"]
