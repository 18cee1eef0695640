"""What the gateway's benchmark is made of: stub homeserver, simulator, gateway, Redis, Kannel."""

import concurrent.futures
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.request

from demo_peers import Peer, PeerFailed, free_ports, run

SERVER = "bench.test"
FIRST_PHONE = 447700100000
AS_TOKEN, HS_TOKEN = "as" * 16, "hs" * 16
TICKS = os.sysconf("SC_CLK_TCK")
KEEP = 2_000_000
PATIENCE_SECONDS = 300


def ask(url, method="GET", body=None):
    """One HTTP request; its answer as JSON, or None where it has none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def cpu_seconds(pid):
    """User and kernel time of a process and its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def until(what, holds):
    """Waits until `holds` gives something; gives that."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise PeerFailed(f"waited {PATIENCE_SECONDS} s in vain until {what}")
        time.sleep(0.05)


class Simulator:
    """smsc-sim, which remembers every message with its time."""

    def __init__(self, target, home, receipt_delay="10ms"):
        self.smpp_port, http = free_ports(2)
        self.url = f"http://127.0.0.1:{http}"
        command = [target / "release" / "smsc-sim", "--smpp", f"127.0.0.1:{self.smpp_port}",
                   "--http", f"127.0.0.1:{http}", "--account", "gateway:secret",
                   "--receipt-delay", receipt_delay, "--keep", KEEP, "--capture", "0"]
        self.peer = Peer("simulator", [str(word) for word in command], f"{self.url}/health", home)

    def counted(self):
        return ask(f"{self.url}/counters")["messages"]

    def submits(self, after):
        """Those that came after arrival `after`, oldest first."""
        while True:
            page = ask(f"{self.url}/submits?after={after}&limit=1000")
            yield from page
            if not page:
                return
            after = page[-1]["arrival"]

    def last_arrival(self):
        return max((one["arrival"] for one in self.submits(0)), default=0)


class Redis(Peer):
    """A redis-server that syncs whatever it answers."""

    def __init__(self, home):
        [self.port] = free_ports(1)
        folder = home / "redis"
        folder.mkdir()
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir",
                   str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        super().__init__("redis-server", command, None, home)

    def is_ready(self):
        try:
            return self.ask("PING").startswith("+PONG")
        except OSError:
            return False

    def ask(self, words):
        """The answer to one command, as text."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as wire:
            wire.sendall(f"{words}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: wire.recv(65536), b"")).decode()

    def journeys(self):
        """How many calls of ours it has answered."""
        counted = re.findall(r"cmdstat_fcall:calls=(\d+)", self.ask("INFO commandstats"))
        return float(sum(map(int, counted)))


class World:
    """The gateway between the stub homeserver and a simulator, with rooms whose phones have joined."""

    def __init__(self, target, home, rooms, receipts, engine):
        self.home, self.binary = home, target / "release" / "matrix-smpp"
        self.redis = Redis(home) if engine == "redis" else None
        self.simulator = Simulator(target, home)
        stub, appservice, ops = free_ports(3)
        self.stub_url = f"http://127.0.0.1:{stub}"
        self.ops_url = f"http://127.0.0.1:{ops}"
        self.config = home / "gateway.toml"
        self.config.write_text(CONFIG.format(
            server=SERVER, home=home, stub=self.stub_url, smpp=self.simulator.smpp_port,
            appservice=appservice, ops=ops, as_token=AS_TOKEN, hs_token=HS_TOKEN, rooms=rooms,
            receipts=str(receipts).lower(),
            store=REDIS.format(port=self.redis.port) if self.redis else ""))
        self.config.chmod(0o600)
        stub_command = [target / "release" / "stub-homeserver", "--listen", f"127.0.0.1:{stub}",
                        "--server-name", SERVER, "--appservice", f"http://127.0.0.1:{appservice}",
                        "--as-token", AS_TOKEN, "--hs-token", HS_TOKEN, "--bot", ".tel.bot",
                        "--retry", "100"]
        self.stub = Peer("stub", [str(word) for word in stub_command],
                         f"{self.stub_url}/_stub/counts", home)
        gateway = [str(self.binary), "run", "--config", str(self.config)]
        self.gateway = Peer("gateway", gateway, f"{self.ops_url}/ready", home)
        self.peers = [self.simulator.peer, self.stub, self.gateway]
        if self.redis:
            self.peers.insert(0, self.redis)
        self.rooms = []
        self.wanted_rooms = rooms

    def __enter__(self):
        (self.home / "data").mkdir(mode=0o700)
        try:
            for peer in self.peers:
                peer.start()
            self.make_rooms()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *problem):
        self.kill()

    def kill(self):
        for peer in self.peers:
            peer.kill()

    def make_rooms(self):
        """Each room has a person with credit and a phone; one text each leases the numbers."""
        wanted = {"count": self.wanted_rooms, "first": FIRST_PHONE}
        self.rooms = ask(f"{self.stub_url}/_stub/rooms", "POST", wanted)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.top_up, (room["user"] for room in self.rooms)))
        until("all phones have joined", lambda: ask(
            f"{self.stub_url}/_stub/joined", "POST", self.rooms) == len(self.rooms))
        self.flood(1_000, len(self.rooms))
        self.sent(len(self.rooms))
        self.quiet()

    def top_up(self, user):
        run([str(self.binary), "credit", "top-up", user, "1000000.00", "--config",
             str(self.config)], "top-up")

    def audit(self):
        """The money must be right whatever the speed: a difference ends it with a status."""
        run([str(self.binary), "credit", "audit", "--config", str(self.config)], "the audit")

    def flood(self, rate, count, text="load"):
        wanted = {"rate": rate, "count": count, "rooms": self.rooms, "text": text}
        ask(f"{self.stub_url}/_stub/flood", "POST", wanted)

    def sent(self, count):
        """Waits until the simulator has so many messages."""
        until(f"{count} messages are sent", lambda: self.simulator.counted() >= count)

    def counts(self):
        return ask(f"{self.stub_url}/_stub/counts")

    def quiet(self):
        """Waits until the gateway has told the homeserver all that it has to tell."""
        def is_quiet():
            sizes = self.metrics()
            names = ("inbox", "outbox", "queued_segments")
            return all(sizes[f'matrix_smpp_waiting{{kind="{name}"}}'] == 0 for name in names)
        until("nothing waits in the gateway", is_quiet)

    def metrics(self):
        with urllib.request.urlopen(f"{self.ops_url}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def cost(self):
        """What has been used so far: of processors, and of what is counted."""
        metrics, counts = self.metrics(), self.counts()
        of_redis = {"redis_cpu": cpu_seconds(self.redis.process.pid),
                    "journeys": self.redis.journeys()} if self.redis else {}
        return of_redis | {
            "gateway_cpu": cpu_seconds(self.gateway.process.pid),
            "simulator_cpu": cpu_seconds(self.simulator.peer.process.pid),
            "stub_cpu": cpu_seconds(self.stub.process.pid),
            "commits": metrics.get("matrix_smpp_store_commits_total", 0.0),
            "changes": metrics.get("matrix_smpp_store_changes_total", 0.0),
            "questions": metrics.get("matrix_smpp_store_questions_total", 0.0),
            "puts": float(counts["requests"].get("send", 0)),
        }


class Kannel:
    """Kannel's bearerbox with its file store, bound to a simulator of its own."""

    def __init__(self, target, home):
        self.home = home
        self.simulator = Simulator(target, home)
        admin, self.boxes = free_ports(2)
        (home / "kannel.conf").write_text(KANNEL.format(
            smsc=self.simulator.smpp_port, admin=admin, boxes=self.boxes, home=home))
        self.status = f"http://127.0.0.1:{admin}/status"
        self.bearerbox = Peer("bearerbox", ["/usr/sbin/bearerbox", "-v", "2", "kannel.conf"],
                              self.status, home)

    def __enter__(self):
        try:
            self.simulator.peer.start()
            self.bearerbox.start()
            until("Kannel is bound", self.is_online)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *problem):
        self.kill()

    def kill(self):
        self.bearerbox.kill()
        self.simulator.peer.kill()

    def is_online(self):
        with urllib.request.urlopen(self.status, timeout=10) as answer:
            return b"(online" in answer.read()

    def batch(self, count, text):
        """Has mtbatch hand over a text so many times, as fast as bearerbox takes them."""
        (self.home / "text").write_text(text)
        phones = (str(FIRST_PHONE + number % 1_000) for number in range(count))
        (self.home / "phones").write_text("\n".join(phones) + "\n")
        command = ["mtbatch", "-v", "4", "-b", "127.0.0.1", "-p", str(self.boxes), "-f",
                   "447700900900", "text", "phones"]
        with (self.home / "mtbatch.log").open("wb") as log:
            return subprocess.Popen(command, cwd=self.home, stdout=log, stderr=log)

    def cost(self):
        return {"gateway_cpu": cpu_seconds(self.bearerbox.process.pid),
                "simulator_cpu": cpu_seconds(self.simulator.peer.process.pid)}


CONFIG = """\
[gateway]
data_dir = "{home}/data"
check_marks = false

[appservice]
listen = "127.0.0.1:{appservice}"

[ops]
listen = "127.0.0.1:{ops}"

[log]
level = "error"

[limits]
inbox_concurrency = 512
outbox_concurrency = 24
claim_batch = 1000
invites_per_hour = 100000

[[homeserver]]
name = "{server}"
url = "{stub}"
appservice_url = "http://127.0.0.1:{appservice}"
as_token = "{as_token}"
hs_token = "{hs_token}"

[[link_group]]
name = "operator"

[[link_group.link]]
name = "a"
address = "127.0.0.1:{smpp}"
system_id = "gateway"
password = "secret"
window = 1000

[[pool]]
name = "uk"
numbers = ["447700900000-447700900999"]

[[route]]
name = "uk"
prefixes = ["44"]
link_group = "operator"
originator = {{ pool = "uk" }}
price = "0.01"
receipts = {receipts}
progress = {receipts}

{store}"""

REDIS = """\
[store]
engine = "redis"

[store.redis]
servers = "redis://127.0.0.1:{port}"
"""

KANNEL = """\
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = "secret"
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = "127.0.0.1"
dlr-storage = internal
store-type = file
store-location = "{home}/kannel.store"

group = smsc
smsc = smpp
smsc-id = peer
host = 127.0.0.1
port = {smsc}
transceiver-mode = true
smsc-username = "gateway"
smsc-password = "secret"
system-type = ""
interface-version = 34
reconnect-delay = 1
max-pending-submits = 1000

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = 1
"""
