"""The ground of every operation: one Redis, one namespace, one round trip a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from gostage_core.machine import MACHINE
from gostage_core.sealing.vault import Vault
from gostage_core.state import scripts
from gostage_core.state.client import connect, our_errors
from gostage_core.state.keys import Keys

if TYPE_CHECKING:
    from gostage_core.machine import Machine
    from gostage_core.settings import Settings
    from gostage_core.state.client import Client

GRACE_MS: Final = 1_000
"""How far beyond its timeout an attempt may be before it is ended from outside its process."""

HOLD_MS: Final = 2_000
"""How long a rescuer keeps what it was handed before another one may be handed it."""


class Scripted:
    """What runs the scripts of one namespace."""

    def __init__(
        self,
        settings: Settings,
        client: Client | None = None,
        machine: Machine = MACHINE,
        vault: Vault | None = None,
    ) -> None:
        """Nothing is sent yet. A *client* takes the place of one for ``settings.redis_url``.

        A *vault* takes the place of the one for the keys in *settings*.

        Raises:
            ConfigurationError: there are keys in *settings* that are none.
        """
        self.settings = settings
        self.keys = Keys(settings.namespace)
        self.client = connect(settings.redis_url) if client is None else client
        self.machine = machine
        """Whose time and chance count for all that is done here."""
        self.vault = Vault.of(settings) if vault is None else vault
        """Seals all that goes to the server; what comes from there is opened by it."""

    def server_ms(self) -> int:
        """Return the server's clock in milliseconds."""
        with our_errors(url=self.settings.redis_url):
            whole, micro = self.client.time()
        return whole * 1000 + micro // 1000

    def server_id(self) -> str:
        """Return what tells this start of this server from any other."""
        with our_errors(url=self.settings.redis_url):
            info = cast("dict[str, object]", self.client.info("server"))
        return str(info.get("run_id", ""))

    def _run(self, name: str, run_id: str, *args: object, key: str = "") -> scripts.Reply:
        sealed = self.vault.sealed(run_id, args)
        with our_errors(run_id, self.settings.redis_url):
            return scripts.run(
                self.client,
                name,
                key or self.keys.of("run", run_id),
                (self.keys.prefix, run_id, *sealed),
            )

    def _run_shared(self, name: str, key: str, *args: object) -> scripts.Reply:
        with our_errors(url=self.settings.redis_url):
            return scripts.run(self.client, name, self.keys.of(key), (self.keys.prefix, *args))
