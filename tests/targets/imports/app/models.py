from app import settings
from app.registry import plugins

rows = []


def count():
    return len(rows) + len(settings) + len(plugins)
