from .preview import Preview
from .reconciliation import Difference, Reconciliation
from .release import Delivery, Inquiry, Receipt, Release, TraceEntry, WithdrawalCheck, WithdrawalOrder

__all__ = [
    "Delivery", "Difference", "Inquiry", "Preview", "Receipt", "Reconciliation", "Release", "TraceEntry",
    "WithdrawalCheck", "WithdrawalOrder",
]  # fmt: skip
