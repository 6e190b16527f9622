from .countersign import Countersign
from .environment import MachineCredential, MachineOrder, SecureEnvironment
from .organisation import Invitation, Membership, Organisation
from .user import Role, User

__all__ = [
    "Countersign",
    "Invitation",
    "MachineCredential",
    "MachineOrder",
    "Membership",
    "Organisation",
    "Role",
    "SecureEnvironment",
    "User",
]
