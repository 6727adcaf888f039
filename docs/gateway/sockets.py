#!/usr/bin/env python3
"""Listening sockets that outlive the container of the gateway.

sockets.py hold NAME=PORT...   listens, and hands the sockets to everyone who asks in this network namespace
sockets.py take COMMAND...     asks for them and becomes the command, with the sockets as systemd passes them (sd_listen_fds(3))

While nobody serves the sockets the kernel completes connections to them, and these wait.
"""
import os
import socket
import sys

HOLDER = "\0gracegate"  # an abstract address: it is the network namespace's, and takes no file


def hold(ports):
    named = [p.split("=") for p in ports]
    names = ":".join(name for name, _ in named).encode()
    held = [socket.create_server(("", int(port)), backlog=4096) for _, port in named]
    asked = socket.socket(socket.AF_UNIX)
    asked.bind(HOLDER)
    asked.listen()
    while True:
        asker, _ = asked.accept()
        with asker:
            try:
                socket.send_fds(asker, [names], [s.fileno() for s in held])
            except OSError as err:
                print(f"sockets.py: {err}", file=sys.stderr)


def take(command):
    with socket.socket(socket.AF_UNIX) as holder:
        holder.connect(HOLDER)
        names, fds, _, _ = socket.recv_fds(holder, 4096, 16, socket.MSG_CMSG_CLOEXEC)
    for target, fd in enumerate(fds, start=3):
        os.dup2(fd, target)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names.decode())
    os.execvp(command[0], command)


if __name__ == "__main__":
    {"hold": hold, "take": take}[sys.argv[1]](sys.argv[2:])
