"""Where guardian keeps the staff roles on zones: a table with a foreign key, so that no grant outlives its zone.

Written and read by `broker.accounts.grants` alone; guardian finds this table by its shape.
"""

from django.db import models
from guardian.models import UserObjectPermissionBase

from .zone import Zone

__all__ = ["ZoneGrant"]


class ZoneGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Zone, models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        pass
