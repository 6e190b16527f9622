from .preview import Preview
from .release import Delivery, Inquiry, Receipt, Release, TraceEntry, WithdrawalCheck, WithdrawalOrder

__all__ = ["Delivery", "Inquiry", "Preview", "Receipt", "Release", "TraceEntry", "WithdrawalCheck", "WithdrawalOrder"]
