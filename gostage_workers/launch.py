"""The entry point of a worker process that another process of ours has started."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NoReturn

import billiard
from celery.signals import worker_ready
from pydantic import BaseModel, ConfigDict, ValidationError

from gostage_core.errors import ConfigurationError, GostageError
from gostage_workers.app import create_app
from gostage_workers.resources import ends_with_teardown

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = "GOSTAGE_LAUNCH"
"""The environment variable that holds a :class:`Launch` as JSON."""

REFUSED: Final = 78
"""The exit code of a worker that cannot load what it is told to."""

_TRACEBACK_LINES: Final = 15

Pool = Literal["prefork", "threads", "solo"]

_loading: str | None = None


class Launch(BaseModel):
    """What a worker process is told when it is started."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: str
    broker: str | None = None
    namespace: str
    modules: tuple[str, ...] = ()

    main_path: str | None = None
    """The caller's own script, loaded as the module ``main_name``, so never as ``__main__``."""

    main_name: str | None = None

    sys_path: tuple[str, ...]
    name: str
    """Celery's node name, ``w1@host`` for example."""

    concurrency: int = 1
    pool: Pool = "prefork"
    loglevel: str = "INFO"

    ready_file: str | None = None
    """Where the worker puts an :class:`Announcement`, once it takes work or is refused."""

    @classmethod
    def from_env(cls) -> Launch:
        """Read what this process was told.

        Raises:
            ConfigurationError: the variable is missing, or not a launch.
        """
        try:
            return cls.model_validate_json(os.environ[VARIABLE])
        except KeyError:
            raise ConfigurationError(
                f"{VARIABLE} is not set; start a worker of your own with `gostage worker MODULE` "
                f"or `celery -A gostage_workers.app worker`"
            ) from None
        except ValidationError as error:
            raise ConfigurationError(f"{VARIABLE} is not a launch: {error}") from None


class Announcement(BaseModel):
    """What a worker process says of itself: ready for work, or why it cannot be."""

    pid: int
    refused: str | None = None
    tears_down: bool = False
    """Whether it may have resources to tear down, and must be let end by itself."""

    def write(self, path: Path) -> None:
        """Put it at *path*, at once and whole."""
        draft = path.with_name(f"{path.name}.{self.pid}")
        draft.write_text(self.model_dump_json())
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Announcement | None:
        """Return what lies at *path*, if anything does."""
        try:
            return cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            return None


def loading() -> str | None:
    """Return what this process is loading as a worker right now: a script or a module."""
    return _loading


def main() -> None:
    """Run the worker that ``GOSTAGE_LAUNCH`` describes, until it is told to stop."""
    launch = Launch.from_env()
    del os.environ[VARIABLE]
    sys.path[:] = launch.sys_path
    try:
        _load(launch)
        app = create_app(
            launch.url,
            broker=launch.broker,
            namespace=launch.namespace,
            modules=launch.modules,
        )
    except GostageError as error:
        _refuse(launch, error)
    # The pool's children must have what was loaded here. A fresh interpreter, as macOS has it by
    # default, would not.
    billiard.set_start_method("fork", force=True)
    worker_ready.connect(lambda **_: _announce(launch), weak=False)
    app.worker_main(_arguments(launch))


def _load(launch: Launch) -> None:
    if launch.main_path is not None and launch.main_name is not None:
        with while_loading(launch.main_path):
            load_script(launch.main_path, launch.main_name)
    for module in launch.modules:
        with while_loading(module):
            import_module(module)


def load_script(path: str, name: str) -> None:
    """Load the script at *path* as the module *name*, so never as ``__main__``.

    Raises:
        ConfigurationError: it cannot be loaded so.
    """
    if name in sys.modules:
        raise ConfigurationError(
            f"the script {path} has the name of a module that workers use, {name!r}; rename it"
        )
    # Not every script ends in .py, so the loader is named.
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, path))
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"the script {path} cannot be loaded as a module")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


@contextlib.contextmanager
def while_loading(what: str) -> Iterator[None]:
    """Let :func:`loading` tell *what* meanwhile, and errors say what could not be loaded.

    Raises:
        ConfigurationError: an error ended the block.
    """
    global _loading
    _loading = what
    try:
        yield
    except ConfigurationError:
        raise
    except SystemExit as error:
        raise ConfigurationError(
            f"a worker cannot load {what}: it ends the process (exit status {error.code}); "
            f'put what it runs under `if __name__ == "__main__":`'
        ) from error
    except Exception as error:
        lines = "".join(traceback.format_exception(error)).splitlines()
        raise ConfigurationError(
            f"a worker cannot load {what}:\n" + "\n".join(lines[-_TRACEBACK_LINES:])
        ) from error
    finally:
        _loading = None


def _refuse(launch: Launch, error: GostageError) -> NoReturn:
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    _announce(launch, refused=str(error))
    sys.exit(REFUSED)


def _announce(launch: Launch, refused: str | None = None) -> None:
    if launch.ready_file is not None:
        said = Announcement(pid=os.getpid(), refused=refused, tears_down=ends_with_teardown())
        said.write(Path(launch.ready_file))


def _arguments(launch: Launch) -> list[str]:
    return [
        "worker",
        f"--pool={launch.pool}",
        f"--concurrency={launch.concurrency}",
        f"--hostname={launch.name}",
        f"--loglevel={launch.loglevel}",
        "--without-gossip",
        "--without-mingle",
    ]


if __name__ == "__main__":
    # Under `-m` this is a second copy of the module, and loading() would be asked of the first.
    from gostage_workers import launch as module

    module.main()
