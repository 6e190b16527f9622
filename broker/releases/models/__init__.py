from .release import Delivery, Inquiry, Receipt, Release, TraceEntry, WithdrawalCheck, WithdrawalOrder

__all__ = ["Delivery", "Inquiry", "Receipt", "Release", "TraceEntry", "WithdrawalCheck", "WithdrawalOrder"]
