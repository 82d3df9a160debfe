"""An ordinary user's containers take a minute each to start and end on some machines: those are run by hand."""
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name == "test_podman.py" and "user" in item.name.partition("[")[2].split("-")[0]:
            item.add_marker(pytest.mark.long)
