from .switch import KillSwitch, PolicyEpoch

__all__ = ["KillSwitch", "PolicyEpoch"]
