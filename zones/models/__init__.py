from .dataset import Column, ColumnRole, Dataset, DatasetVersion, Domain, SensitiveClass, Table, VersionFile
from .grants import ZoneGrant
from .place import PlaceListing, SourceOrder
from .zone import Sensor, Service, Site, Zone

__all__ = [
    "Column",
    "ColumnRole",
    "Dataset",
    "DatasetVersion",
    "Domain",
    "PlaceListing",
    "SensitiveClass",
    "Sensor",
    "Service",
    "Site",
    "SourceOrder",
    "Table",
    "VersionFile",
    "Zone",
    "ZoneGrant",
]
