"""Two services: one forgets its requests, and one keeps them. Run `pytest` in this folder: the second test fails."""

import pytest


class Service:
    def __init__(self, keeps):
        self.keeps = keeps
        self.history = []

    def handle(self, request):
        if self.keeps:
            self.history.append({"request": request})
        return request.upper()


@pytest.fixture(scope="module")
def forgetting():
    return Service(keeps=False)


@pytest.fixture(scope="module")
def keeping():
    return Service(keeps=True)


@pytest.mark.no_leak
def test_forgetting_service(forgetting):
    assert forgetting.handle("hello") == "HELLO"


@pytest.mark.no_leak
def test_keeping_service(keeping):
    assert keeping.handle("hello") == "HELLO"
