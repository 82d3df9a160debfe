"""These tests start a process again and again; with sanitizers each start takes a second, and the pauses of a keeper whose worker dies
again and again are what they would see.  So they carry the marker release."""
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "keeper":
            item.add_marker(pytest.mark.release)
