"""Writes COMPAT.md: which clients and operations the tests used, and whether those tests passed.

A plugin of pytest, idle unless PANGEA_COMPAT=1. It notes what really leaves the test process:
botocore tells of each API call, Python's audit hook of each command that is started and of what
programs in other languages say that they send (see programs.py). An operation counts as passed if
every test that used it passed, tests of refused requests included.

Workers note, and the reports of their tests carry the notes to the process that writes the page;
where there are no workers that is the same process.
"""

import collections
import functools
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

OUTPUT = Path(__file__).parents[2] / "COMPAT.md"
COMMAND = "PANGEA_COMPAT=1 cargo xtask test --only e2e"
# The one whose operations are listed even where no test uses them.
LISTED = "DynamoDB"
SERVICES = {"dynamodb": "DynamoDB", "route53": "Route 53", "globalaccelerator":
            "Global Accelerator", "DynamoDb": "DynamoDB", "DynamoDbStreams": "DynamoDB Streams",
            "DynamoDB-Streams": "DynamoDB Streams"}
# What workers say to the process that writes: in reports, and when they end.
NOTED, LEFT_OUT, DIFFERENTIAL = "compat", "compat_left_out", "differential"
HEAD = f"""# Compatibility

This file is generated from a run of all end-to-end tests; do not edit it. The command is

```
{COMMAND}
```

Each row is an operation that an unmodified client sent to a running `pangea up`. It passed if every
test that used it passed. A test may use an operation to see it refused. What differs from AWS is in
[docs/reference/dynamodb.md](docs/reference/dynamodb.md).
"""


class Recorder:
    """What was used by whom; the tests' outcomes."""

    def __init__(self):
        # Of the test that runs here, and of all that were reported.
        self.noted = None
        self.used = collections.defaultdict(set)
        self.failed, self.ran = set(), set()
        self.differential = None
        self.left_out = 0

    def note(self, client, service, operation):
        # Writers in threads of a test count for the test that runs.
        if self.noted is not None:
            self.noted.add((client, service, operation))

    # --- what is listened to -----------------------------------------------------------------

    def listen(self):
        import botocore.session

        create = botocore.session.Session.create_client

        def create_client(session, *arguments, **options):
            made = create(session, *arguments, **options)
            # boto3 names itself to its sessions; PynamoDB takes them as they come.
            client = "boto3" if session.user_agent_name == "Boto3" else "PynamoDB"
            made.meta.events.register("before-call", functools.partial(self.on_call, client))
            return made

        botocore.session.Session.create_client = create_client
        sys.addaudithook(self.on_audit)

    def on_call(self, client, model, **_):
        service = str(model.service_model.service_id)
        self.note(client, service, model.name)

    def on_audit(self, event, arguments):
        if event == "subprocess.Popen":
            words = arguments[1]
            if isinstance(words, (list, tuple)) and words:
                self.on_command([os.fspath(word) for word in words])
        elif event == "pangea.used":
            client, service, operation = arguments
            self.note(client, SERVICES.get(service, service), operation)

    def on_command(self, words):
        program, rest = Path(words[0]).name, words[1:]
        if program == "aws":
            service, operation, *more = [*rest, "", ""]
            if operation == "wait":
                operation = f"wait {more[0]}"
            self.note("AWS CLI", SERVICES.get(service, service), operation)
        elif program == "dig":
            subnet = " with EDNS client subnet" if any("+subnet" in word for word in rest) else ""
            self.note("dig", "DNS", f"A over {'TCP' if '+tcp' in rest else 'UDP'}{subnet}")
        elif program == "curl":
            method = "POST" if "--data" in rest else "GET"
            path, _, query = re.sub(r"^http://[^/]+", "", rest[-1]).partition("?")
            path = re.sub(r"/[0-9a-f-]{36}$", "/{id}", path) or "/"
            # A signature is another one in each run.
            signed = "X-Amz-Signature=" in query
            surface = "DynamoDB, presigned" if signed else "HTTP, accelerator or application"
            self.note("curl", surface, f"{method} {path}")

    # --- pytest ------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.noted = set()
        try:
            return (yield)
        finally:
            self.noted = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        item.user_properties.append((NOTED, sorted(self.noted)))
        return (yield)

    def pytest_runtest_logreport(self, report):
        test = report.nodeid.split("/")[-1]
        self.ran.add(test)
        if report.failed:
            self.failed.add(test)
        for name, noted in report.user_properties:
            for used in noted if name == NOTED else ():
                self.used[tuple(used)].add(test)
            if name == DIFFERENTIAL:
                self.differential = noted

    def pytest_deselected(self, items):
        self.left_out += len(items)

    def pytest_sessionfinish(self, session):
        # There is no such thing where there are no workers.
        vars(session.config).get("workeroutput", {})[LEFT_OUT] = self.left_out

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        # Each worker leaves out the same tests.
        self.left_out = max(self.left_out, getattr(node, "workeroutput", {}).get(LEFT_OUT, 0))

    def pytest_terminal_summary(self, terminalreporter):
        if self.left_out or not self.used:
            terminalreporter.write_line("compat: not all tests ran; COMPAT.md is left as it is")
            return
        OUTPUT.write_text(self.page(), encoding="utf-8")
        terminalreporter.write_line(f"compat: wrote {OUTPUT.name}")

    # --- the page ----------------------------------------------------------------------------

    def page(self):
        passed = len(self.ran - self.failed)
        rows = ["| client | service | operation | result | tests |", "|---|---|---|---|---|"]
        for (client, service, operation), tests in sorted(self.used.items()):
            rows.append(f"| {client} | {service} | `{operation}` | {self.result(tests)} "
                        f"| {files(tests)} |")
        versions = [f"| {name} | {version} |" for name, version in versions_of_clients().items()]
        return "\n".join([
            HEAD, f"Of {len(self.ran)} tests, {passed} passed.", "",
            "## Versions", "", "| program | version |", "|---|---|", *versions, "",
            "## Operations", "", *rows, "",
            f"## Operations of {LISTED} that no test used", "", *self.unused(), "",
            *beside(self.differential)])

    def result(self, tests):
        bad = sorted(tests & self.failed)
        if not bad:
            return "passed"
        more = f" and {len(bad) - 2} more" if len(bad) > 2 else ""
        return "FAILED: " + ", ".join(f"`{name}`" for name in bad[:2]) + more

    def unused(self):
        import boto3

        client = boto3.Session().client("dynamodb", region_name="us-east-1")
        known = set(client.meta.service_model.operation_names)
        used = {operation for _, service, operation in self.used if service == LISTED}
        used |= {"".join(word.capitalize() for word in operation.split("-"))
                 for client, service, operation in self.used if client == "AWS CLI"}
        return wrapped(sorted(known - used))


def beside(found):
    """What the differential run has found (test_differential.py)."""
    head = ["## Random requests beside dynoxide", ""]
    if found is None:
        return [*head, "They were not run: dynoxide was not there.", ""]
    operations = ", ".join(f"{count} `{name}`" for name, count in found["operations"].items())
    text = (f"The same {found['asked']} random requests ({operations}) went to a region and to "
            f"dynoxide {found['version']}, a stand-in whose makers hold it against AWS; "
            f"{found['refused']} were refused. Each answer and what each write had left was "
            f"compared. {found['differed']} differed, {found['unexplained']} without an explanation "
            "below, which is also what would fail the test.")
    rows = [f"| {name} | {count} | {why} |" for name, count, why in found["known"]]
    return [*head, *textwrap.wrap(text, 100), "", "| difference | requests | explanation |",
            "|---|---|---|", *rows, ""]


def files(tests):
    counts = collections.Counter(name.split("::")[0] for name in tests)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))


def wrapped(words, width=96):
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) + 4 > width:
            lines.append(line + ",")
            line = ""
        line += f"{', ' if line else ''}`{word}`"
    return [*lines, line + "."] if line else ["None."]


def versions_of_clients():
    import boto3
    import botocore
    import pynamodb

    said = {
        "pangea": [os.environ.get("PANGEA_BIN", "pangea"), "--version"],
        "AWS CLI": [Path(sys.executable).with_name("aws"), "--version"],
        "dig": ["dig", "-v"],
        "curl": ["curl", "--version"],
    }
    versions = {name: version(argv) for name, argv in said.items()}
    imported = {"boto3": boto3, "botocore": botocore, "PynamoDB": pynamodb}
    return versions | {name: module.__version__ for name, module in imported.items()} | built()


def built():
    """The versions of clients that were built for the tests: what their lists of packages pin."""
    jars, modules, packages = os.environ.get("PANGEA_JAVA_CLASSES", ""), "", ""
    if os.environ.get("PANGEA_GO_CLIENT"):
        modules = (Path(__file__).parent / "go/go.mod").read_text(encoding="utf-8")
    if os.environ.get("PANGEA_JAVASCRIPT"):
        packages = (Path(__file__).parent / "javascript/package.json").read_text(encoding="utf-8")
    known = {
        "AWS SDK for Java": (r"/dynamodb-(\d[\d.]*)\.jar", jars),
        "AWS SDK for Java, enhanced client": (r"/dynamodb-enhanced-(\d[\d.]*)\.jar", jars),
        "DynamoDB Lock Client": (r"/dynamodb-lock-client-(\d[\d.]*)\.jar", jars),
        "Kinesis Client Library": (r"/amazon-kinesis-client-(\d[\d.]*)\.jar", jars),
        "DynamoDB Streams Kinesis Adapter":
            (r"/dynamodb-streams-kinesis-adapter-(\d[\d.]*)\.jar", jars),
        "AWS SDK for Go": (r"/service/dynamodb v(\d[\d.]*)", modules),
        "AWS SDK for JavaScript": (r'/client-dynamodb": "(\d[\d.]*)', packages),
        "Dynamoose": (r'"dynamoose": "(\d[\d.]*)', packages),
        "DynamoDB-Toolbox": (r'"dynamodb-toolbox": "(\d[\d.]*)', packages),
        "ElectroDB": (r'"electrodb": "(\d[\d.]*)', packages),
    }
    found = {name: re.search(pattern, text) for name, (pattern, text) in known.items()}
    return {name: match.group(1) for name, match in found.items() if match}


def version(argv):
    """The first number with dots that a program says of itself."""
    try:
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True,
                              timeout=30, check=False)
    except OSError:
        return "not there"
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group(0) if found else "unknown"


def pytest_configure(config):
    if os.environ.get("PANGEA_COMPAT") == "1":
        recorder = Recorder()
        recorder.listen()
        config.pluginmanager.register(recorder, "compat-recorder")
