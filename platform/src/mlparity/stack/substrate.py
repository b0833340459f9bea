"""What every vendor's half of the control plane stands on, made once: store, engine, clock, events."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from mlparity.clock import Clock
from mlparity.engine.container import ContainerExecutor
from mlparity.engine.environments import Environments
from mlparity.engine.events import EventJournal
from mlparity.engine.executors import Executors
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.logs import JobLogStore
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import RunRepository
from mlparity.engine.runs import StepHandler
from mlparity.engine.runtimes import RuntimeMap
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.engine.scheduling import TimerService
from mlparity.engine.tracking import Tracking
from mlparity.engine.tuning.repository import TuningRepository
from mlparity.engine.tuning.service import TuningService
from mlparity.engine.tuning.tunings import TrialJobs
from mlparity.ids import IdSource
from mlparity.metadata import MetadataStores
from mlparity.profiles.locate import shipped, user_runtimes
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.job_environment import job_environment, job_files
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore


class Substrate:
    """The parts, and the order in which they start and stop.

    ``handlers`` and ``trials`` give the vendors' steps and tuning jobs their meaning; ``act_as`` gives a role's
    variables.
    """

    def __init__(
        self,
        config: ControlPlaneConfig,
        clock: Clock,
        ids: IdSource,
        handlers: Mapping[tuple[str, str], StepHandler],
        trials: Mapping[tuple[str, str], TrialJobs],
        act_as: Callable[[str], Mapping[str, str]],
    ) -> None:
        self.clock = clock
        self.ids = ids
        self.database = Database.open(config.database_path)
        self.store = FileObjectStore(self.database, config.blobs_dir, clock, ids, config.region)
        self.logs = JobLogStore(config.data_dir / "joblogs", clock)
        scratch = config.data_dir / "scratch"
        self.sandbox = SandboxExecutor(scratch, clock, ids, hidden=[config.data_dir], files=job_files(config))
        owner = hashlib.sha256(str(config.data_dir.resolve()).encode()).hexdigest()[:16]
        self._containers = ContainerExecutor(owner, scratch / "containers")
        self.executors = Executors(self.sandbox, self._containers)
        self.runtimes = RuntimeMap.load(
            shipped("stacks") / "runtimes.yaml", own=user_runtimes(), exact=config.exact_runtimes
        )
        self.environments = Environments(config.data_dir / "environments", exact=config.exact_runtimes)
        repository = JobRepository(self.database, clock, ids)
        self.tracking = Tracking(config.mlflow_url, repository, clock)
        host = JobHost(config.jobs_dir, job_environment(config), config.max_parallel_jobs, act_as)
        means = Means(self.store, self.executors, self.runtimes, self.environments, self.logs, self.tracking, host)
        self.jobs = JobService(repository, means, clock)
        self.runs = RunEngine(RunRepository(self.database, clock), repository, handlers, clock)
        self.tunings = TuningService(TuningRepository(self.database, clock, ids), self.jobs, trials, clock, ids)
        self.events = EventJournal(self.database, clock, ids)
        self.timers = TimerService(clock)
        self.metadata = MetadataStores(self.database, clock, ids)

    def connect(self) -> None:
        """Have runs and tunings hear of jobs: last, when what has to be written down of a job's end is."""
        self.jobs.listen(self.runs.on_job)
        self.jobs.listen(self.tunings.on_job)

    def recover_jobs(self) -> None:
        """Take up the jobs that a crash cut off. Before what waits for them starts."""
        self._containers.recover()
        self.jobs.recover()

    def start(self) -> None:
        """Start the threads that decide, once every job is accounted for."""
        self.tracking.start()
        self.runs.start()
        self.tunings.start()

    def warm(self) -> None:
        """Start the worker of every runtime that has one, so that the first job need not wait for its imports."""
        for runtime in self.runtimes.runtimes.values():
            if runtime.preload and runtime.kind in {"host", "builtin"}:
                self.sandbox.warm(runtime)

    def close(self) -> None:
        """Stop the threads and the jobs. The database keeps the truth for the next start."""
        self.runs.close()
        self.tunings.close()
        self.jobs.close()
        self.sandbox.close()
        self._containers.close()
        self.events.close()
        self.tracking.close()
        self.database.close()
