"""For processes that execute actions."""

from gostage_workers.app import create_app
from gostage_workers.cluster import LocalCluster
from gostage_workers.install import install
from gostage_workers.json_logs import JsonFormatter
from gostage_workers.resources import resource

__all__ = ["JsonFormatter", "LocalCluster", "create_app", "install", "resource"]
