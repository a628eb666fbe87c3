"""A real SLURM on this machine, for the time of a test: a controller, two CPU nodes and two nodes with four fake A100s each.

Everything is started and stopped by process id and listens on loopback alone; no systemd, cgroups or database are needed.
The nodes claim more cores and memory than this machine has, and their GPUs are clones of /dev/null: the scheduler hands
them out, and no program may compute on them. Without cgroups memory is watched instead of fenced: every second SLURM adds up
what the processes of a job hold, and kills the job if that is more than it asked for.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CPU_NODES, GPU_NODES = ("c1", "c2"), ("g1", "g2")
GPUS = 4
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
TaskProlog={folder}/record
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MinJobAge=7200
KillWait=5
BatchStartTimeout=10
MessageTimeout=5
SlurmdTimeout=10
InactiveLimit=0
ReturnToService=2
SlurmdParameters=config_overrides
{nodes}
PartitionName=cpu Nodes={cpu} Default=YES MaxTime=1-00:00:00 PriorityTier=10
PartitionName=gpu Nodes={gpu} MaxTime=1-00:00:00 PriorityTier=10
PartitionName=gpu-urgent Nodes={gpu} MaxTime=1-00:00:00 PriorityTier=100 PreemptMode=OFF
"""

# What the first process of a job step finds in its environment, one line a step.
RECORD = """#!/bin/sh
echo "$SLURM_JOB_ID $SLURMD_NODENAME ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/steps
"""


def missing() -> list[str]:
    """The programs of SLURM that this machine lacks."""
    return [name for name in (*DAEMONS, *CLIENTS) if not find(name)]


def find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


def wait_until(condition: Callable[[], object], seconds: float, what: str, pause: float = 0.1) -> object:
    """Wait until `condition()` is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} seconds"
        time.sleep(pause)
    return found


def free_ports(number: int) -> list[int]:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    return ports


class Cluster:
    """The cluster; a context manager. `environment` is what a user's shell has."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.daemons: dict[str, subprocess.Popen] = {}
        self.clients: list[subprocess.Popen] = []  # what was started on top, and must not outlive the cluster
        self.environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}

    def __enter__(self) -> "Cluster":
        self._configure()
        try:
            self._start("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket",
                        f"--key-file={self.folder}/munge.key", f"--pid-file={self.folder}/munged.pid",
                        f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munged.seed")  # fmt: skip
            wait_until((self.folder / "munge.socket").exists, 10, "munged listens")
            self.start_controller()
            for node in (*CPU_NODES, *GPU_NODES):
                self.start_node(node)
            for node in (*CPU_NODES, *GPU_NODES):
                self.wait_for_node(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for client in self.clients:
            if client.poll() is None:
                os.killpg(client.pid, signal.SIGKILL)
                client.wait()
        for node in (*CPU_NODES, *GPU_NODES):
            self._kill_jobs(node)
        for name in reversed(list(self.daemons)):
            self._stop(name)
        shutil.rmtree(self.folder)

    def _configure(self) -> None:
        self.folder.chmod(0o755)  # munged insists
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        host = socket.gethostname().split(".")[0]
        controller_port, *ports = free_ports(1 + len(CPU_NODES + GPU_NODES))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=64 RealMemory=256000 State=UNKNOWN"
            + (f" Gres=gpu:a100:{GPUS}" if node in GPU_NODES else "")
            for node, port in zip((*CPU_NODES, *GPU_NODES), ports, strict=True)
        )
        user = subprocess.run(["id", "-un"], text=True, capture_output=True, check=True).stdout.strip()
        self._write("slurm.conf", CONFIGURATION.format(
            folder=self.folder, host=host, user=user, controller_port=controller_port, nodes=nodes,
            cpu=",".join(CPU_NODES), gpu=",".join(GPU_NODES),
        ))  # fmt: skip
        self._write("gres.conf", f"NodeName={','.join(GPU_NODES)} Name=gpu Type=a100 File={self._devices()}\n")
        self._write("cgroup.conf", "CgroupPlugin=cgroup/v1\n")
        self._write("record", RECORD.format(folder=self.folder), mode=0o755)
        # The plugin takes SLURM_CONF from the environment of job steps, so the commands bring it themselves.
        (self.folder / "bin").mkdir()
        for name in CLIENTS:
            script = f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {find(name)} "$@"\n'
            self._write(f"bin/{name}", script, mode=0o755)

    def _devices(self) -> str:
        """Character devices that stand for GPUs; SLURM looks at them and never opens them."""
        try:
            for number in range(GPUS):
                os.mknod(self.folder / f"gpu{number}", 0o020666, os.makedev(1, 3))
        except PermissionError:
            return f"/dev/tty[0-{GPUS - 1}]"
        return f"{self.folder}/gpu[0-{GPUS - 1}]"

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(mode)

    def _start(self, name: str, *arguments: str, key: str | None = None) -> None:
        with (self.folder / "daemons.log").open("a") as log:
            self.daemons[key or name] = subprocess.Popen(
                [find(name), *arguments],
                env={**os.environ, "SLURM_CONF": f"{self.folder}/slurm.conf"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _stop(self, key: str, number: int = signal.SIGTERM) -> None:
        daemon = self.daemons.pop(key)
        daemon.send_signal(number)
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    # The controller and the nodes

    def start_controller(self) -> None:
        self._start("slurmctld", "-D")
        wait_until(lambda: "UP" in self.run("scontrol", "ping"), 20, "the controller answers")

    def stop_controller(self) -> None:
        self._stop("slurmctld")

    def start_node(self, node: str) -> None:
        self._start("slurmd", "-D", "-N", node, key=node)

    def wait_for_node(self, node: str) -> None:
        ready = re.compile(r"idle|mixed|allocated").fullmatch
        wait_until(lambda: ready(self.run("sinfo", "-h", "-n", node, "-p", "cpu,gpu", "-o", "%T").strip()), 30, node)

    def crash_node(self, node: str) -> None:
        """What a power failure does: the node's daemon and all processes of the jobs on it are gone at once."""
        self.daemons[node].kill()
        self._kill_jobs(node)
        self._stop(node, signal.SIGKILL)

    def _kill_jobs(self, node: str) -> None:
        jobs = [job["JobId"] for job in self.jobs() if job.get("NodeList") == node]
        for pid, arguments, environment in processes():
            ours = str(self.folder) in environment.get("PATH", "") + environment.get("SLURM_CONF", "")
            keeper = any(arguments[0].startswith(f"slurmstepd: [{job}.") for job in jobs)
            if ours and (keeper or environment.get("SLURMD_NODENAME") == node):
                kill(pid)

    # What a user sees

    def run(self, *command: str) -> str:
        """Standard output of a SLURM command; empty if it fails."""
        return subprocess.run(
            [self.folder / "bin" / command[0], *command[1:]], text=True, capture_output=True, check=False
        ).stdout  # fmt: skip

    def jobs(self) -> list[dict[str, str]]:
        """All jobs, finished ones too, as `scontrol show jobs` gives them; `rule` is Snakemake's."""
        lines = self.run("scontrol", "--oneliner", "show", "jobs").splitlines()
        jobs = [dict(field.split("=", 1) for field in line.split() if "=" in field) for line in lines]
        for job in jobs:
            job["rule"] = re.sub(r"^rule_(\w+?)(_wildcards_.*)?$", r"\1", job.get("Comment", ""))
        return [job for job in jobs if "JobId" in job]

    def steps(self) -> list[tuple[str, str, str]]:
        """Job id, node and CUDA_VISIBLE_DEVICES of every job step that was started."""
        return [tuple(line.split()) for line in (self.folder / "steps").read_text().splitlines()]


def processes() -> list[tuple[int, list[str], dict[str, str]]]:
    """Process id, arguments and environment of every process that may be looked at."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        found.append((int(folder.name), arguments, dict(one.split("=", 1) for one in environment if "=" in one)))
    return found


def place(pid: int) -> Path | None:
    """The working folder of a process that may have ended."""
    with contextlib.suppress(OSError):
        return Path(os.readlink(f"/proc/{pid}/cwd"))


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
