"""Jobs are asked for in the transaction of the write they belong to, in a worker as in a page.

procrastinate's own Django connector does so where pages are served. A worker gets another one from it, with
connections of its own: a job that a job asks for was there before the rows it is about, and stayed when they did not.
"""

from django.db import DEFAULT_DB_ALIAS
from procrastinate import App, PsycopgConnector
from procrastinate.connector import BaseConnector
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params


class OfWorkers(PsycopgConnector):
    """A worker's own connections to wait for jobs and take them; Django's connection for what its jobs ask for."""

    def get_sync_connector(self) -> BaseConnector:
        return DjangoConnector(DEFAULT_DB_ALIAS)


class OfPages(DjangoConnector):
    def get_worker_connector(self) -> OfWorkers:
        return OfWorkers(kwargs=connector_params(self.alias))


def connect(app: App) -> None:
    """Give procrastinate's application these connectors (setting PROCRASTINATE_ON_APP_READY)."""
    app.connector = app.job_manager.connector = OfPages(DEFAULT_DB_ALIAS)
