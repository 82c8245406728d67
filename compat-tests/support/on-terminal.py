"""Runs a command on a terminal of its own: python3 on-terminal.py ROWS COLUMNS COMMAND...

Standard input and output are what a person types and sees. Descriptor 3 takes lines: "size ROWS COLUMNS", "signal NUMBER".
Ends as the command does (128 + the signal that ended it).
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios


def resize(rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))


rows, columns, *command = sys.argv[1:]
ready, go = os.pipe()
pid, master = pty.fork()
if pid == 0:
    os.close(go)
    os.read(ready, 1)
    os.close(3)
    os.execvp(command[0], command)
resize(rows, columns)
os.close(ready)
os.close(go)

sources = {0, 3, master}
while master in sources:
    for source in select.select(sources, [], [])[0]:
        try:
            data = os.read(source, 65536)
        except OSError:
            # What a terminal says when nobody has it open any more.
            data = b""
        if not data:
            sources.discard(source)
        elif source == master:
            os.write(1, data)
        elif source == 0:
            os.write(master, data)
        else:
            for line in data.decode().splitlines():
                what, *values = line.split()
                if what == "size":
                    resize(*values)
                else:
                    os.kill(pid, int(values[0]))

code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(code if code >= 0 else 128 - code)
