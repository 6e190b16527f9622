from .dataset import Column, ColumnRole, Dataset, DatasetVersion, Domain, SensitiveClass, Table, VersionFile
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
    "Table",
    "VersionFile",
    "Zone",
    "ZoneGrant",
]
