"""A running `pangea up`, and the unmodified clients that talk to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import boto3
from botocore.config import Config

from support import PATIENCE, REGIONS, Ports, alive, eventually

PORTS = Ports()
BIN = os.environ.get("PANGEA_BIN")
SHOP_BIN = os.environ.get("PANGEA_SHOP_BIN")
# The storage engine of all regions; the default one if it is not set.
ENGINE = os.environ.get("PANGEA_ENGINE")

# What a user would export; the CLI and boto3 come from the same virtual environment as pytest.
CLIENT_ENV = {
    "AWS_ACCESS_KEY_ID": "pangea",
    "AWS_SECRET_ACCESS_KEY": "pangea",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_PAGER": "",
    "NO_PROXY": "*",
    "no_proxy": "*",
}
os.environ.update(CLIENT_ENV)

# Clients may be used by threads, but not made by them; a session each would be 0.1 s each.
SESSION, MAKING = boto3.Session(), threading.Lock()

# The networks that RFC 5737 sets aside for documentation, one near each region.
NETWORKS = {"us-east-1": "192.0.2.0/24", "eu-west-1": "198.51.100.0/24",
            "ap-northeast-1": "203.0.113.0/24"}
NAME = "shop.pangea.test"


class CommandFailed(AssertionError):
    """A command that was expected to end with 0 did not."""

    def __init__(self, done):
        super().__init__(f"{done.args} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        self.returncode, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr


def run(argv, check=True, timeout=PATIENCE, **options):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        raise CommandFailed(done)
    return done


class Cluster:
    """A topology of three regions with ports of its own, in a directory of its own."""

    # Those that were started and not stopped: whose logs belong to a failure.
    running = []

    def __init__(self, home, rtt_ms=0, objectives=None, shop=True, faults=None, extra=(),
                 tls=False):
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.data = self.home / "data"
        self.file = self.home / "topology.toml"
        self.rtt_ms, self.objectives, self.shop = rtt_ms, objectives or {}, shop
        self.faults, self.extra = faults, list(extra)
        self.hosts = {name: f"127.0.{n}.1" for n, name in enumerate(REGIONS, 1)}
        self.dynamodb = {name: PORTS.take() for name in REGIONS}
        self.admin = {name: PORTS.take() for name in REGIONS}
        self.peer = {name: PORTS.take() for name in REGIONS}
        self.tls = {name: PORTS.take() for name in REGIONS} if tls else {}
        self.control, self.dns = PORTS.take(), PORTS.take()
        self.accelerator, self.operator = PORTS.take(), PORTS.take()
        # One port for all regions, as in the built-in topology: DNS answers with an address only.
        self.shop_port = PORTS.take(tuple(self.hosts.values()))
        self.process, self.outputs, self._plain = None, [], {}
        self.file.write_text(self.topology())

    def topology(self):
        lines = ['cluster = "e2e"']
        lines += [f"storage.engine = {json.dumps(ENGINE)}"] if ENGINE else []
        for name in REGIONS:
            lines += ["[[region]]", f'name = "{name}"']
            lines += [f'{key} = "127.0.0.1:{port[name]}"' for key, port in (
                ("dynamodb", self.dynamodb), ("admin", self.admin), ("peer", self.peer),
                ("dynamodb_tls", self.tls)) if port]
        for n, one in enumerate(REGIONS):
            for other in REGIONS[n + 1:]:
                lines += ["[[link]]", f'between = ["{one}", "{other}"]', f"rtt_ms = {self.rtt_ms}"]
        # A processor that is shared is late, and a region that is late is not ill.
        lines += ["[health]", "timeout_ms = 3000", "[edge]"]
        lines += [f'{key} = "127.0.0.1:{port}"' for key, port in (
            ("control", self.control), ("dns", self.dns), ("accelerator", self.accelerator),
            ("operator", self.operator))]
        if self.shop:
            lines += self._service()
        if self.objectives:
            lines += ["[objectives]"] + [f"{key} = {n}" for key, n in self.objectives.items()]
        if self.faults is not None:
            lines += ["[faults]", f"allow = {str(self.faults).lower()}"]
        return "\n".join(lines + self.extra) + "\n"

    def _service(self):
        words = [SHOP_BIN, "--listen", "{listen}", "--region", "{region}"]
        lines = ["[[service]]", 'name = "shop"', f"command = {json.dumps(words)}",
                 'home_arguments = ["--create-tables", "--replicate-to", "{others}"]',
                 "accelerated = true", "[service.endpoint]"]
        lines += [f'{name} = "{host}:{self.shop_port}"' for name, host in self.hosts.items()]
        lines += ["[service.env]", 'AWS_ENDPOINT_URL_DYNAMODB = "http://{dynamodb}"',
                  'AWS_REGION = "{region}"']
        for name, cidr in NETWORKS.items():
            lines += ["[[network]]", f'cidr = "{cidr}"', f'near = "{name}"']
        lines += ["[[zone]]", 'name = "pangea.test"', "[[record]]", f'name = "{NAME}"',
                  'service = "shop"', "ttl_s = 1"]
        return lines

    # --- the process -------------------------------------------------------------------------

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Starts `pangea up` and waits until it serves."""
        assert BIN, "PANGEA_BIN is not set: run the tests with `cargo xtask test`"
        assert not (self.shop and not SHOP_BIN), "PANGEA_SHOP_BIN is not set"
        output = open(self.home / f"up-{len(self.outputs)}.log", "w+", encoding="utf-8")
        self.outputs.append(output)
        argv = [BIN, "up", "-f", self.file, "--data-dir", self.data]
        # A group of its own, so that a Ctrl-C for pytest is not one for it.
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        if self not in self.running:
            self.running.append(self)
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            code = self.process.poll()
            if code is not None:
                self.outputs[-1].seek(0)
                raise SystemExit(f"`pangea up` ended with {code}:\n{self.outputs[-1].read()}")
            regions = self.status()["regions"]
            return len(regions) == len(REGIONS) and all(
                region["state"] == "ACTIVE" and region["healthy"]
                and all(service["healthy"] for service in region["services"])
                for region in regions)

        try:
            eventually(ready, "a cluster that is up", timeout=120)
        except SystemExit as ended:
            raise AssertionError(str(ended)) from None

    def stop(self):
        """Ctrl-C, and no process left."""
        if self.process is None:
            return None
        if self in self.running:
            self.running.remove(self)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise
        code, self.process = self.process.returncode, None
        return code

    def cli(self, *arguments, check=True, timeout=PATIENCE):
        """A `pangea` command against this topology."""
        return run([BIN, *arguments, "--data-dir", self.data], check, timeout)

    def json(self, *arguments, check=True, timeout=PATIENCE):
        """The JSON that a `pangea` command prints."""
        done = self.cli(*arguments, "--output", "json", check=check, timeout=timeout)
        assert done.stdout, done
        return json.loads(done.stdout)

    def status(self):
        return self.json("status", check=False)

    def region(self, name):
        return next(region for region in self.status()["regions"] if region["name"] == name)

    def control_socket(self, op, process):
        """What `pangea process` says to the supervisor."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(PATIENCE)
            stream.connect(str(self.data / "up.sock"))
            stream.sendall(json.dumps({"op": op, "process": process}).encode() + b"\n")
            reply = json.loads(stream.makefile().readline())
        assert not reply.get("error"), reply
        return reply

    def kill(self, name):
        """`kill -9` of a region's process; returns the process id it had."""
        pid = self.region(name)["pid"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid), f"the end of {pid}", pause=0.005)
        return pid

    def revive(self, name):
        """Starts a dead region again and waits until it serves, whatever probes say yet."""
        self.wait_state(name, "DEAD")
        self.control_socket("start", f"region {name}")
        self.wait_state(name, "ACTIVE", "DEGRADED")

    def wait_state(self, name, *states):
        eventually(lambda: self.region(name)["state"] in states, f"{name} to be {states}")

    # --- faults ------------------------------------------------------------------------------

    def cut(self, one, other):
        self.cli("link", "cut", one, other)
        self.wait_link(one, other, lambda state: state == "CUT")

    def heal(self, one, other):
        self.cli("link", "heal", one, other)
        self.wait_link(one, other, lambda state: state == "UP")

    def wait_link(self, one, other, accept):
        def both():
            links = [link for link in self.status()["links"]
                     if {link["from"], link["to"]} == {one, other}]
            return len(links) == 2 and all(accept(link["state"]) for link in links)

        eventually(both, f"the link between {one} and {other}")

    # --- clients -----------------------------------------------------------------------------

    def endpoint(self, region):
        return f"http://127.0.0.1:{self.dynamodb[region]}"

    def _session(self, kind, region, service="dynamodb", **options):
        with MAKING:
            return getattr(SESSION, kind)(service, region_name=region, config=Config(**options),
                                          endpoint_url=self.endpoint(region))

    def plain(self, region):
        """A client that others use, too: for asking again and again."""
        if region not in self._plain:
            self._plain[region] = self.client(region)
        return self._plain[region]

    def client(self, region, **options):
        return self._session("client", region, **options)

    def resource(self, region, **options):
        return self._session("resource", region, **options)

    def eager(self, region):
        """A client that gives up at once, for writers that count what was acknowledged."""
        return self.client(region, connect_timeout=2, read_timeout=10,
                           retries={"total_max_attempts": 1})

    def aws(self, region, *arguments, check=True, timeout=PATIENCE):
        """The AWS CLI: `aws dynamodb … --endpoint-url …`; what it prints, as JSON."""
        aws = Path(sys.executable).with_name("aws")
        argv = [aws, "dynamodb", *arguments, "--region", region,
                "--endpoint-url", self.endpoint(region), "--output", "json"]
        done = run(argv, check, timeout)
        if not check:
            return done
        return json.loads(done.stdout) if done.stdout.strip() else {}

    # --- tables ------------------------------------------------------------------------------

    def global_table(self, name, sort_key=False, home=REGIONS[0]):
        """A table in all three regions, ACTIVE everywhere."""
        self.plain(home).create_table(
            TableName=name, **schema(sort_key), BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
        eventually(lambda: self.table_status(home, name) == "ACTIVE", f"{name} to be ACTIVE")
        for other in REGIONS:
            if other != home:
                self.add_replica(name, other, home)
        return name

    def add_replica(self, name, region, home=REGIONS[0]):
        self.plain(home).update_table(
            TableName=name, ReplicaUpdates=[{"Create": {"RegionName": region}}])
        eventually(lambda: self.replicas(home, name).get(region) == "ACTIVE"
                   and self.table_status(home, name) == "ACTIVE"
                   and self.table_status(region, name) == "ACTIVE",
                   f"the replica of {name} in {region}")

    def replicas(self, region, name):
        """Status by region, as one region shows it."""
        table = self.plain(region).describe_table(TableName=name)["Table"]
        return {one["RegionName"]: one["ReplicaStatus"] for one in table.get("Replicas", [])}

    def table_status(self, region, name):
        return self.plain(region).describe_table(TableName=name)["Table"]["TableStatus"]

    def items(self, region, table, keys=("pk",)):
        """Everything in the table, by key, read strongly in one region."""
        pages = self.plain(region).get_paginator("scan").paginate(
            TableName=table, ConsistentRead=True)
        found = {}
        for page in pages:
            for item in page["Items"]:
                key = tuple(json.dumps(item[name], sort_keys=True) for name in keys)
                assert key not in found, f"{key} twice in one scan"
                found[key] = item
        return found

    def converged(self, table, keys=("pk",)):
        """Waits until all regions hold the same items, and returns them."""
        def same():
            views = [self.items(region, table, keys) for region in REGIONS]
            return (views[0],) if all(view == views[0] for view in views) else None

        return eventually(same, f"{table} to be the same everywhere", pause=0.2)[0]

    # --- the ledger --------------------------------------------------------------------------

    def conflicts(self, table):
        """The entries of a table, oldest limit out of the way."""
        listed = self.json("conflicts", "list", "--table", table, "--limit", "100000")
        return listed["conflicts"] if isinstance(listed, dict) else listed

    def conflict(self, entry):
        return self.json("conflicts", "show", entry["id"])

    # --- what to show of a failure -----------------------------------------------------------

    def logs(self, lines=40):
        """The ends of all logs, by file."""
        found = sorted(self.home.glob("up-*.log")) + sorted(self.data.rglob("*.log"))
        tails = {}
        for path in found:
            text = path.read_text(encoding="utf-8", errors="replace").splitlines()
            tails[str(path.relative_to(self.home))] = "\n".join(text[-lines:])
        return tails


def schema(sort_key=False):
    """Key schema `pk` (and `sk`), both strings."""
    names = ["pk", "sk"] if sort_key else ["pk"]
    return {
        "KeySchema": [{"AttributeName": name, "KeyType": kind}
                      for name, kind in zip(names, ("HASH", "RANGE"), strict=False)],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
    }


def judged(request, table):
    """A client with an empty table: of DYNAMODB_ENDPOINT where that is set, to hold a test against
    another server, else of the shared cluster. A generator for a fixture."""
    endpoint = (os.environ.get("DYNAMODB_ENDPOINT")
                or request.getfixturevalue("pangea").endpoint(REGIONS[0]))
    config = Config(retries={"total_max_attempts": 1})
    client = boto3.client("dynamodb", region_name=REGIONS[0], endpoint_url=endpoint, config=config)
    client.create_table(TableName=table, **schema(True), BillingMode="PAY_PER_REQUEST")
    eventually(lambda: client.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE",
               f"{table} to be ACTIVE")
    yield client
    client.delete_table(TableName=table)
