"""The guard sees what a test leaves behind, and clears it."""
import subprocess
import time

import pytest

from support import guard


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(guard, "SETTLE_SECONDS", 0.2)


@pytest.fixture(scope="session")
def installed(session_folder):
    """These tests need no fusepkg."""
    return session_folder


def test_a_process_is_ended_and_named(root, folder):
    process = root.start(["sh", "-c", "echo; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()  # else its environment may not be there yet
    complaints = guard.clear([folder], root.mark)
    assert complaints == [f"still running: {process.pid} sh -c echo; read line"]
    process.communicate()
    assert guard.clear([folder], root.mark) == []


def test_processes_of_other_tests_are_left_alone(root, folder):
    process = root.start(["sleep", "1000"], env={"FUSEPKG_TEST": "another"})
    assert guard.clear([folder], root.mark) == []
    assert process.poll() is None
    process.kill()
    process.wait()


def test_a_mount_is_detached_and_named(root, folder):
    target = folder / "with space 數"
    target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "x", target], check=True)
    assert guard.clear([folder], root.mark) == [f"still mounted: {target} (tmpfs)"]
    assert guard.mounts(folder) == []


def test_a_loop_device_is_detached_and_named(root, folder):
    image = folder / "image"
    image.write_bytes(b"\0" * 1_000_000)
    device = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    assert guard.clear([folder], root.mark) == [f"still attached: {device.removeprefix('/dev/')} to {image}"]
    end = time.monotonic() + 10
    while guard.loop_devices(folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert guard.loop_devices(folder) == []
