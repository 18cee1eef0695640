"""The processes of the demo: Synapse, the simulator and the gateway, each in a folder of its own."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

SERVER = "demo.test"
START_SECONDS = 60
STOP_SECONDS = 30
LAST_LINES = 25


class PeerFailed(Exception):
    """A process did not start, ended by itself, or did not end well."""


class Peer:
    """One process in a session of its own. The kernel kills it should the demo die."""

    def __init__(self, name, command, ready_url, folder):
        self.name, self.command, self.ready_url = name, command, ready_url
        self.log = folder / f"{name}.log"
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                cwd=self.log.parent, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)
        self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.ended():
                raise PeerFailed(f"{self.name} ended with status {self.process.returncode}")
            if time.monotonic() > deadline:
                raise PeerFailed(f"{self.name} was not ready after {START_SECONDS} s")
            time.sleep(0.05)

    def is_ready(self):
        return answers(self.ready_url)

    def ended(self):
        return self.process.poll() is not None

    def stop(self):
        """Asks it to end, which it must do in time and well."""
        if not self.process:
            return
        self.process.terminate()
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise PeerFailed(f"{self.name} did not stop within {STOP_SECONDS} s") from None
        if status not in (0, -signal.SIGTERM):
            raise PeerFailed(f"{self.name} stopped with status {status}")

    def kill(self):
        if self.process and not self.ended():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def last_words(self):
        if not self.log.exists():
            return "(it was not started)"
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:]) or "(it said nothing)"


class Fleet:
    """All three, with the files and addresses that tie them together."""

    def __init__(self, target, home):
        self.home = home
        self.binary = target / "release" / "matrix-smpp"
        self.secret = secrets.token_hex(16)
        ports = free_ports(5)
        self.synapse_port, self.smpp_port, http, self.appservice_port, self.ops_port = ports
        self.synapse_url = f"http://127.0.0.1:{self.synapse_port}"
        self.simulator_url = f"http://127.0.0.1:{http}"
        self.ops_url = f"http://127.0.0.1:{self.ops_port}"
        self.config = home / "gateway.toml"
        self.registration = home / "registration.yaml"
        python = target / "peers" / "synapse-venv" / "bin" / "python"
        simulator = [target / "release" / "smsc-sim", "--smpp", f"127.0.0.1:{self.smpp_port}",
                     "--http", f"127.0.0.1:{http}", "--account", "gateway:secret",
                     "--receipt-delay", "500ms"]
        synapse = [python, "-m", "synapse.app.homeserver", "-c", home / "homeserver.yaml"]
        gateway = [self.binary, "run", "--config", self.config]
        self.peers = {
            "simulator": Peer("simulator", simulator, f"{self.simulator_url}/counters", home),
            "synapse": Peer("synapse", synapse, f"{self.synapse_url}/health", home),
            "gateway": Peer("gateway", gateway, f"{self.ops_url}/ready", home),
        }

    def start(self, say):
        self.write_configs()
        for name, address in (("simulator", f"SMPP 127.0.0.1:{self.smpp_port}"),
                              ("synapse", self.synapse_url), ("gateway", self.ops_url)):
            begun = time.monotonic()
            self.peers[name].start()
            say(f"{name:<10} {address}, ready after {time.monotonic() - begun:.1f} s")

    def write_configs(self):
        (self.home / "gateway").mkdir(mode=0o700)
        tokens = {"as_token": secrets.token_hex(32), "hs_token": secrets.token_hex(32)}
        self.config.write_text(GATEWAY_CONFIG.format(
            server=SERVER, home=self.home, synapse=self.synapse_url, smpp=self.smpp_port,
            appservice=self.appservice_port, ops=self.ops_port, **tokens))
        self.config.chmod(0o600)
        self.run_gateway("check")
        self.run_gateway("registration", "--output", self.registration)
        (self.home / "log.yaml").write_text(SYNAPSE_LOG)
        (self.home / "homeserver.yaml").write_text(SYNAPSE_CONFIG.format(
            server=SERVER, home=self.home, port=self.synapse_port, secret=self.secret,
            registration=self.registration, key=secrets.token_hex(16)))
        python = self.peers["synapse"].command[0]
        run([python, "-m", "synapse.app.homeserver", "-c", self.home / "homeserver.yaml",
             "--generate-keys"], "Synapse's key")

    def credit(self, *words):
        return self.run_gateway("credit", *words)

    def run_gateway(self, *words):
        return run([self.binary, *words, "--config", self.config], f"matrix-smpp {words[0]}")

    def command_line(self, *words):
        return " ".join(str(word) for word in (self.binary, *words, "--config", self.config))

    def pid(self, name):
        return self.peers[name].process.pid

    def keep_up(self, say):
        """Starts again whoever ends, until somebody interrupts."""
        while True:
            for peer in self.peers.values():
                if peer.ended():
                    peer.start()
                    say(f"{peer.name} had ended and runs again, process {peer.process.pid}")
            time.sleep(0.2)

    def stop(self):
        for name in ("gateway", "simulator", "synapse"):
            self.peers[name].stop()

    def kill(self):
        for peer in self.peers.values():
            peer.kill()

    def last_words(self):
        return [(name, peer.last_words()) for name, peer in self.peers.items()]


def run(command, what):
    """Runs a command to its end. Returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS,
                          check=False)
    if done.returncode:
        raise PeerFailed(f"{what} failed with status {done.returncode}: "
                         f"{(done.stderr or done.stdout).strip()}")
    return done.stdout


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def free_ports(count):
    """Ports that are free now; none twice, for those given out before may not be in use yet."""
    with contextlib.ExitStack() as stack:
        ports = []
        while len(ports) < count:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port not in GIVEN:
                GIVEN.add(port)
                ports.append(port)
        return ports


GIVEN = set()

GATEWAY_CONFIG = """\
[gateway]
data_dir = "{home}/gateway"

[appservice]
listen = "127.0.0.1:{appservice}"

[ops]
listen = "127.0.0.1:{ops}"

[[homeserver]]
name = "{server}"
url = "{synapse}"
appservice_url = "http://127.0.0.1:{appservice}"
as_token = "{as_token}"
hs_token = "{hs_token}"

[[link_group]]
name = "operator"

[[link_group.link]]
name = "a"
address = "127.0.0.1:{smpp}"
bind = "transceiver"
system_id = "gateway"
password = "secret"

[[pool]]
name = "uk"
numbers = ["447700900900-447700900909"]

[[route]]
name = "uk"
prefixes = ["44"]
link_group = "operator"
originator = {{ pool = "uk" }}
price = "0.045"

[[route]]
name = "germany"
prefixes = ["49"]
link_group = "operator"
originator = {{ shortcode = "12345" }}
price = "0.09"

[[dedicated]]
number = "447700900999"
owner = "@bob:{server}"
"""

SYNAPSE_CONFIG = """\
server_name: "{server}"
public_baseurl: "http://127.0.0.1:{port}/"
pid_file: "{home}/synapse.pid"
listeners:
  - bind_addresses: ["127.0.0.1"]
    port: {port}
    type: http
    tls: false
    resources: [{{names: [client], compress: false}}]
database: {{name: sqlite3, args: {{database: "{home}/homeserver.db"}}}}
log_config: "{home}/log.yaml"
media_store_path: "{home}/media"
signing_key_path: "{home}/signing.key"
registration_shared_secret: "{secret}"
macaroon_secret_key: "{key}"
form_secret: "{key}"
report_stats: false
trusted_key_servers: []
federation_domain_whitelist: []
presence: {{enabled: false}}
url_preview_enabled: false
extra_well_known_client_content: {{"io.element.e2ee": {{"default": false}}}}
app_service_config_files: ["{registration}"]
rc_message: {{per_second: 100, burst_count: 1000}}
rc_login: {{address: {{per_second: 10, burst_count: 100}}, account: {{per_second: 10, burst_count: 100}}}}
rc_joins: {{local: {{per_second: 10, burst_count: 100}}}}
rc_room_creation: {{per_second: 10, burst_count: 100}}
rc_invites: {{per_room: {{per_second: 10, burst_count: 100}}, per_user: {{per_second: 10, burst_count: 100}}}}
"""

SYNAPSE_LOG = """\
version: 1
formatters: {line: {format: "%(asctime)s %(levelname)s %(name)s %(message)s"}}
handlers: {console: {class: logging.StreamHandler, formatter: line}}
root: {level: WARNING, handlers: [console]}
disable_existing_loggers: false
"""
