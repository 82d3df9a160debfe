"""type_line.py SHELL SETUP LINE: types LINE and Tab into an interactive bash or zsh; prints what the line is then.

SETUP ends with the prompt READY>, which a shell shows once it reads keys; it binds Ctrl-X Ctrl-P to "print the line
between << and >>"."""
import os
import pty
import re
import select
import signal
import sys

SECONDS = 60  # without a byte: it hangs
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


def read_until(fd, pattern):
    seen = b""
    while True:
        match = re.search(pattern, seen, re.DOTALL)
        if match:
            return match
        if not select.select([fd], [], [], SECONDS)[0]:
            sys.exit(f"no answer, only {seen}")
        seen += os.read(fd, 65536)


def main(shell, setup, line):
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(shell, SHELLS[shell])
    os.write(fd, setup.encode() + b"\nPS1='READ''Y>'\n")
    read_until(fd, rb"\n[^\n]*READY>")
    os.write(fd, line.encode() + b"\t\x18\x10")
    print(read_until(fd, rb"<<(.*?)>>").group(1).decode())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


main(*sys.argv[1:])
