from .table import Table, sessions, table
