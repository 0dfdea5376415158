class Table:
    made = []

    def __init__(self):
        self.entries = {}


table = Table()
sessions = {}
