from .countersign import Countersign
from .environment import MachineCredential, MachineOrder, SecureEnvironment
from .organisation import Membership, Organisation
from .user import Role, User

__all__ = [
    "Countersign",
    "MachineCredential",
    "MachineOrder",
    "Membership",
    "Organisation",
    "Role",
    "SecureEnvironment",
    "User",
]
