# SPDX-License-Identifier: MIT
"""A small QMP client for tests: commands, and the events that came meanwhile."""

import json
import socket
import time


class QmpError(Exception):
    """An error reply; the text is its description."""


class Qmp:
    """Talks to a server on a Unix socket; the path may appear a little later."""

    def __init__(self, path, timeout=60):
        end = time.monotonic() + timeout
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.socket.settimeout(timeout)
        self.file = self.socket.makefile("rw", newline="\n")
        self.events = []
        self.greeting = self.read()
        self.run("qmp_capabilities")

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError("the server is gone")
        return json.loads(line)

    def send(self, text):
        self.file.write(text)
        self.file.flush()

    def run(self, command, **arguments):
        """The command's value."""
        self.send(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        while True:
            reply = self.read()
            if "event" in reply:
                self.events.append(reply)
            elif "error" in reply:
                raise QmpError(reply["error"]["desc"])
            else:
                return reply["return"]

    def wait_event(self, name, **data):
        """Waits for the event, and forgets it and all before."""
        while True:
            for i, event in enumerate(self.events):
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    del self.events[:i + 1]
                    return event
            self.events.append(self.read())

    def close(self):
        self.file.close()
        self.socket.close()
