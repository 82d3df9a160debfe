"""What a disk may hold after a power cut: the system calls of a mount on its state, as strace recorded them, and states
that a file system could have kept of them.

The rules are those that POSIX file systems with a journal keep, and no more: names come and go in the order of the calls, up to
some moment that is not before the last fsync of a folder; of a file, what was written before its last fsync is there, and of what was written
since any part, in pieces of BLOCK bytes, the least that a disk writes at once."""
import os
import re
from pathlib import Path

BLOCK = 512
CALLS = "openat,openat2,write,pwrite64,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mkdirat,linkat,fsync,fdatasync,syncfs,copy_file_range,close"
LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$", re.S)
PATH = re.compile(r"<((?:\\x[0-9a-f]{2})+)>(\(deleted\))?")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
FD = re.compile(r"(\d+)<([^>]*)>")


def unquote(text):
    return bytes.fromhex(text.replace("\\x", ""))


class Node:
    def __init__(self, data=b""):
        self.start = data


class Record:
    """The calls below FOLDER, in the order in which they ended: (time, kind, …)."""

    def __init__(self, folder, start):
        self.folder = str(folder)
        self.names = {name: Node(data) for name, data in start.items()}
        self.start = dict(self.names)
        self.calls = []
        self.offsets = {}

    def name_of(self, path):
        return path[len(self.folder) + 1:] if path.startswith(self.folder + "/") else None

    def read(self, log):
        waiting = {}
        for line in Path(log).read_text().splitlines():
            match = LINE.match(line)
            if not match:
                continue
            pid, time, call = match.groups()
            call = PATH.sub(lambda m: "<>" if m[2] else f"<{os.fsdecode(unquote(m[1]))}>", call)
            if call.endswith("<unfinished ...>"):
                waiting[pid] = call[:-len("<unfinished ...>")]
                continue
            if call.startswith("<... "):
                call = waiting.pop(pid, "") + call.split("resumed>", 1)[1]
            self.add(float(time), call)

    def add(self, time, call):
        name, _, rest = call.partition("(")
        arguments, _, result = rest.rpartition(" = ")
        if not result or result.startswith(("-1", "?")):
            return
        handler = getattr(self, "do_" + name, None)
        if handler:
            handler(time, arguments, result)

    # Names ------------------------------------------------------------------------------------------------------------

    def path_at(self, arguments, which):
        """The which-th pair of a folder's descriptor and a name."""
        pairs = re.findall(r'(?:\d+|AT_FDCWD)<([^>]*)>, "((?:\\x[0-9a-f]{2})*)"', arguments)
        folder, name = pairs[which]
        return self.name_of(os.path.normpath(os.path.join(folder, os.fsdecode(unquote(name)))))

    def do_openat(self, time, arguments, result):
        opened = FD.match(result)
        name = self.name_of(opened[2]) if opened else None
        if name is None or "O_DIRECTORY" in arguments:
            return
        if name not in self.names and "O_CREAT" in arguments:
            self.names[name] = Node()
            self.calls.append((time, "create", name, self.names[name]))
        elif name in self.names and "O_TRUNC" in arguments:
            self.calls.append((time, "size", self.names[name], 0))
        self.offsets[(opened[1], name)] = 0

    do_openat2 = do_openat

    def do_renameat(self, time, arguments, _):
        source, target = self.path_at(arguments, 0), self.path_at(arguments, 1)
        if source in self.names and target:
            self.names[target] = self.names.pop(source)
            self.calls.append((time, "rename", source, target))

    do_renameat2 = do_renameat

    def do_linkat(self, time, arguments, _):
        source, target = self.path_at(arguments, 0), self.path_at(arguments, 1)
        if source in self.names and target:
            self.names[target] = self.names[source]
            self.calls.append((time, "create", target, self.names[source]))

    def do_unlinkat(self, time, arguments, _):
        name = self.path_at(arguments, 0)
        if self.names.pop(name, None):
            self.calls.append((time, "unlink", name))

    def do_unlink(self, time, arguments, _):
        name = self.name_of(os.fsdecode(unquote(STRING.search(arguments)[1])))
        if self.names.pop(name, None):
            self.calls.append((time, "unlink", name))

    # Bytes ------------------------------------------------------------------------------------------------------------

    def node(self, arguments):
        fd = FD.match(arguments)
        name = self.name_of(fd[2]) if fd else None
        return (fd[1], name), self.names.get(name)

    def written(self, arguments, result):
        data = unquote(STRING.search(arguments)[1])
        assert len(data) >= int(result), "strace cut a string short"
        return data[:int(result)]

    def do_pwrite64(self, time, arguments, result):
        _, node = self.node(arguments)
        if node:
            data = self.written(arguments, result)
            self.calls.append((time, "write", node, int(arguments.rstrip(")").rsplit(", ", 1)[1]), data))

    def do_write(self, time, arguments, result):
        key, node = self.node(arguments)
        if node:
            data = self.written(arguments, result)
            self.calls.append((time, "write", node, self.offsets.get(key, 0), data))
            self.offsets[key] = self.offsets.get(key, 0) + len(data)

    def do_ftruncate(self, time, arguments, _):
        _, node = self.node(arguments)
        if node:
            self.calls.append((time, "size", node, int(arguments.rstrip(")").rsplit(", ", 1)[1])))

    def do_copy_file_range(self, time, arguments, result):
        raise AssertionError("this recording does not know what copy_file_range writes")

    def do_fsync(self, time, arguments, _):
        key, node = self.node(arguments)
        if node:
            self.calls.append((time, "sync", node))
        elif key[1] is not None or FD.match(arguments)[2] == self.folder:
            self.calls.append((time, "sync names"))

    do_fdatasync = do_fsync

    def do_syncfs(self, time, _arguments, _result):
        self.calls.append((time, "sync all"))

    # States -----------------------------------------------------------------------------------------------------------

    def state(self, count, random):
        """{name: bytes} of a disk that the power left after COUNT calls."""
        calls = self.calls[:count]
        names_from = max((i + 1 for i, c in enumerate(calls) if c[1] in ("sync names", "sync all")), default=0)
        kept = random.choice([names_from, count, random.randint(names_from, count)])
        names = dict(self.start)
        for call in calls[:kept]:
            if call[1] == "create":
                names[call[2]] = call[3]
            elif call[1] == "rename":
                names[call[3]] = names.pop(call[2])
            elif call[1] == "unlink":
                names.pop(call[2], None)
        return {name: self.bytes_of(node, calls, random) for name, node in names.items()}

    def bytes_of(self, node, calls, random):
        synced = max((i + 1 for i, c in enumerate(calls) if c[1] == "sync all" or (c[1] == "sync" and c[2] is node)), default=0)
        data = bytearray(node.start)
        odds = random.choice([0, 1, 0.5, 0.9])
        for i, call in enumerate(calls):
            if call[1] not in ("write", "size") or call[2] is not node:
                continue
            if call[1] == "size":
                if i < synced or random.random() < odds:
                    del data[call[3]:]
                    data.extend(bytes(call[3] - len(data)))
                continue
            _, _, _, offset, written = call
            for at in range(0, len(written), BLOCK):
                piece = written[at:at + BLOCK]
                if i >= synced and random.random() >= odds:
                    continue
                data.extend(bytes(max(0, offset + at + len(piece) - len(data))))
                data[offset + at:offset + at + len(piece)] = piece
        return bytes(data)
