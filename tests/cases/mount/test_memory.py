"""What the process of a mount takes."""
from pathlib import Path

import pytest

PACKAGES, FILES = 60, 1000
WALK = """
import os, sys
n = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        os.stat(path)
        with open(path, 'rb') as file:
            file.read()
        n += 1
print(n)
"""


def rss_anon(pid):
    """Bytes of memory that are this process's own."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


@pytest.mark.release
def test_sixty_thousand_files_take_less_than_16_mb(root, new_venv, make_wheel):
    venv = new_venv(root)
    wheels = [make_wheel(f"package{p}", "1.0", {f"package{p}/folder{i // 50}/module_{i}.py": f"value = {i}\n" * (1 + i % 200)
                                               for i in range(FILES)}) for p in range(PACKAGES)]
    venv.fusepkg("add", *wheels)
    walked = int(root.run(["/usr/bin/python3", "-c", WALK, venv.site]).out)
    assert walked > PACKAGES * FILES
    pid = venv.fusepkg("status", "--json").json()[0]["worker_pid"]
    assert rss_anon(pid) < 16_000_000
