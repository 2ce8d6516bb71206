"""The private service spread over hosts: PostgreSQL with a password, the sandbox, gunicorn, pods on three hosts.

We ourselves are on the callers' host, from where neither the database nor the pods can be reached. What we look up in
the database goes through its Unix socket, which no pulled cable concerns.
"""

import secrets
import sys
from collections.abc import Mapping
from urllib.parse import quote

import psycopg
from psycopg import sql

from devtools import embedded_postgres
from devtools.processes import Program
from trials.chaos import processes
from trials.chaos.audit import AtDaily, Audit, Database, compare
from trials.chaos.audit_inputs import FADING, ROOMS, SESSIONS, STUCK
from trials.chaos.fleet import Fleet, Pod
from trials.chaos.fleet_world import FleetWorld
from trials.hosts.network import POD_HOSTS, address, on_host, pids
from trials.world import ROOT, START_S, THREADS, WORKERS

API_PORT, PROBES_PORT, DAILY_PORT = 8000, 8001, 8002
PIDS = """
    SELECT p.host, a.os_pid FROM pools_agentprocess a JOIN pools_pod p ON p.id = a.pod_id
     WHERE a.status <> 'ended' AND a.os_pid IS NOT NULL
"""
A_HOST = 1 << 32  # process numbers of different hosts are told apart by it


class HostFleet(Fleet):
    """A pod's name begins with its host. A pod without a name starts on the host with the fewest pods."""

    def start(self, name: str = "", **variables: str) -> Pod:
        return super().start(name or self._next_name(), **variables)

    def _next_name(self) -> str:
        running = [host_of(pod) for pod in self.running()]
        return self.next_name_on(min(POD_HOSTS, key=running.count))

    def next_name_on(self, host: str) -> str:
        return f"{host}-{sum(host_of(pod) == host for pod in self.pods) + 1}"

    def _start(self, name: str, environment: dict[str, str], log: str) -> Pod:
        host = name.partition("-")[0]
        disk = self._directory / host
        disk.mkdir(exist_ok=True)
        return Pod(name, {**environment, "DATA_DIR": str(disk)}, self._directory / log, ("trials.hosts.launch", host))


def host_of(pod: Pod) -> str:
    return pod.name.partition("-")[0]


class HostsWorld(FleetWorld):
    _network_url = ""  # of PostgreSQL, for programs on other hosts

    def start_postgres(self, settings: Mapping[str, str] | None = None) -> None:
        where = address("database", "inside")
        with on_host("database"):
            super().start_postgres({"listen_addresses": where, **(settings or {})})
        self._network_url = self._network_url or _with_password(self.postgres, where)
        self._environment["DATABASE_URL"] = self._network_url

    def serve_daily(self) -> None:
        where = address("daily", "outside")
        arguments = ["rundailysandbox", f"--host={where}", f"--port={DAILY_PORT}", "--allow-remote"]
        program = self._start_on("daily", "sandbox", [str(ROOT / "manage.py"), *arguments], self._environment)
        (url,) = self._announced(program, r"listening on (http://\S+)")
        self._environment["DAILY_API_URL"] = self.sandbox.url = url

    def _start_gunicorn(self, **variables: str) -> Program:
        where = address("api", "outside")
        environment = {
            **self._environment,
            "WEB_CONCURRENCY": str(WORKERS),
            "WEB_THREADS": str(THREADS),
            "DATABASE_POOL_SIZE": str(THREADS),
            "ALLOWED_HOSTS": where,
            **variables,
        }
        configuration = str(ROOT / "gunicorn.conf.py")
        command = ["-m", "gunicorn", "--config", configuration, "--bind", f"{where}:{API_PORT}"]
        program = self._start_on("api", "gunicorn", command, environment)
        self._announced(program, r"(Listening at)")
        self._api_address = (where, API_PORT)
        self.wait_for("gunicorn ready", self._answers, START_S)
        return program

    def _start_on(self, host: str, name: str, arguments: list[str], environment: dict[str, str]) -> Program:
        command = [sys.executable, "-m", "trials.hosts.launch", host, sys.executable, *arguments]
        return self._foreground.start(name, command, environment)

    def manage(self, *arguments: str) -> str:
        """Run a management command over the database's socket, the only way from the callers' host."""
        self._environment["DATABASE_URL"] = self.postgres.url
        try:
            return super().manage(*arguments)
        finally:
            self._environment["DATABASE_URL"] = self._network_url

    def begin(self) -> None:
        super().begin()
        self.fleet = HostFleet({**self.environment, "RUNPOOLS_HEALTH_PORT": str(PROBES_PORT)}, self.directory)

    @property
    def hosts(self) -> HostFleet:
        if not isinstance(self.fleet, HostFleet):
            raise TypeError("a fleet without hosts")
        return self.fleet

    def audit_once(self) -> Audit:
        people = self.daily.people()
        at_daily = AtDaily(
            rooms=self.daily.rooms(),
            bots={room: [str(p["user_id"]) for p in there if p["owner"]] for room, there in people.items()},
            callers={room for room, there in people.items() if not all(p["owner"] for p in there)},
        )
        database = Database(
            sessions=dict(self.tables.rows(SESSIONS)),
            rooms={row[0] for row in self.tables.rows(ROOMS)},
            fading={row[0] for row in self.tables.rows(FADING)},
            pids={_number(host, pid) for host, pid in self.tables.rows(PIDS)},
            stuck_leads=self.tables.number(STUCK),
        )
        zygotes = {_number(host_of(pod), pod.zygotes()[-1]) for pod in self.fleet.running() if pod.zygotes()}
        return compare(database, at_daily, _agents() - zygotes)


def _number(host: str, pid: int) -> int:
    return POD_HOSTS.index(host) * A_HOST + pid


def _agents() -> set[int]:
    """Return the agents of all hosts, by their process numbers there."""
    running = {(host, pid) for host in POD_HOSTS for pid in pids(host) if processes.is_agent(pid)}
    return {_number(host, _own_number(pid)) for host, pid in running}


def _own_number(pid: int) -> int:
    """Return the process number on its host; 0 if the process is gone."""
    lines = processes.said_by_the_kernel(pid, "status").splitlines()
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), 0)


def _with_password(server: embedded_postgres.Server, where: str) -> str:
    """Let the server accept the inside network with a password, and return the address for it."""
    password = secrets.token_urlsafe(24)
    rules = server.place.cluster / "pg_hba.conf"
    with open(rules, "a") as file:
        file.write(f"host all all {where}/24 scram-sha-256\n")
    with psycopg.connect(server.url, autocommit=True) as connection:
        user = connection.info.user
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password)))
        connection.execute("SELECT pg_reload_conf()")
        return f"postgres://{user}:{quote(password)}@{where}:5432/{connection.info.dbname}"
