"""Stands for a user manager of systemd: takes StartTransientUnit on the socket that it is given, and moves the processes
to a cgroup.  Run as the user; prints a line of JSON for each request.

    manager.py SOCKET CGROUP move|refuse|refuse-oom|silent"""
import json
import os
import socket
import struct
import sys


class Reader:
    """A D-Bus message's bytes, little-endian: https://dbus.freedesktop.org/doc/dbus-specification.html"""

    def __init__(self, data):
        self.data, self.at = data, 0

    def align(self, to):
        while self.at % to:
            assert self.data[self.at] == 0, "padding is not zero"
            self.at += 1

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def number(self):
        self.align(4)
        self.at += 4
        return struct.unpack_from("<I", self.data, self.at - 4)[0]

    def text(self, length):
        self.at += length + 1
        assert self.data[self.at - 1] == 0, "a string without its end"
        return self.data[self.at - length - 1:self.at - 1].decode()

    def value(self, kind):
        if kind in "so":
            return self.text(self.number())
        if kind == "g":
            return self.text(self.byte())
        assert kind == "au", kind
        end = self.number() + self.at
        numbers = []
        while self.at < end:
            numbers.append(self.number())
        assert self.at == end
        return numbers

    def pairs(self, key):
        """An array of structures: a key and a variant."""
        length = self.number()
        self.align(8)
        end, found = self.at + length, {}
        while self.at < end:
            self.align(8)
            name = key()
            found[name] = self.value(self.value("g"))
        assert self.at == end
        return found


def receive(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            return None
        data += piece
    return data


def read_call(connection):
    head = receive(connection, 16)
    if head is None:
        return None
    assert head[:4] == b"l\1\0\1", head
    body_size, serial, fields_size = struct.unpack("<III", head[4:])
    fields = Reader(head + receive(connection, (fields_size + 7) // 8 * 8))
    fields.at = 12
    found = fields.pairs(fields.byte)
    fields.align(8)
    assert fields.at == len(fields.data)
    body = Reader(receive(connection, body_size))
    assert found[8] == "ssa(sv)a(sa(sv))"
    call = {"member": found[3], "path": found[1], "interface": found[2], "name": body.value("s"), "mode": body.value("s")}
    call["properties"] = body.pairs(lambda: body.value("s"))
    assert body.number() == 0 # auxiliary units
    body.align(8)
    assert body.at == len(body.data)
    return call, serial


def answer(connection, kind, serial):
    """Without a body: what it says is nobody's business."""
    fields = struct.pack("<BB2sI", 5, 1, b"u\0", serial)
    if kind == 3:
        name = b"org.freedesktop.DBus.Error.InvalidArgs"
        fields += struct.pack("<BB2sI", 4, 1, b"s\0", len(name)) + name + b"\0"
    connection.sendall(struct.pack("<4sIII", bytes([ord("l"), kind, 1, 1]), 0, 1, len(fields)) + fields + bytes(-len(fields) % 8))


def log_in(connection):
    assert receive(connection, 1) == b"\0"
    line = b""
    while not line.endswith(b"\r\n"):
        line += receive(connection, 1)
    assert line == b"AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n", line
    connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
    assert receive(connection, 7) == b"BEGIN\r\n"


def serve(connection, cgroup, how):
    log_in(connection)
    while (got := read_call(connection)):
        call, serial = got
        print(json.dumps(call), flush=True)
        if how == "silent":
            continue
        refused = how == "refuse" or how == "refuse-oom" and "OOMPolicy" in call["properties"]
        if not refused:
            for pid in call["properties"]["PIDs"]:
                with open(cgroup + "/cgroup.procs", "w") as procs:
                    procs.write(str(pid))
        answer(connection, 3 if refused else 2, serial)


def main():
    path, cgroup, how = sys.argv[1:]
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    print("listening", flush=True)
    while True:
        serve(listening.accept()[0], cgroup, how)


main()
