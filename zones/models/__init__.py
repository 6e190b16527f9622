from .dataset import Column, ColumnRole, Dataset, DatasetVersion, Domain, SensitiveClass
from .grants import ZoneGrant
from .zone import Sensor, Service, Site, Zone

__all__ = [
    "Column",
    "ColumnRole",
    "Dataset",
    "DatasetVersion",
    "Domain",
    "SensitiveClass",
    "Sensor",
    "Service",
    "Site",
    "Zone",
    "ZoneGrant",
]
