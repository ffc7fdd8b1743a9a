"""The registry: one class an id, and actions built from what JSON says."""

from __future__ import annotations

import subprocess
import sys
import threading
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from gostage_core.authoring.action import Action, action
from gostage_core.authoring.registry import ActionRegistry, registry
from gostage_core.errors import DuplicateActionError, InvalidActionError, UnknownActionError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with registry.isolated():
        yield


def _action(qualname: str, **head: object) -> type[Action]:
    def execute(self: Action, ctx: object) -> None: ...

    class_body = {"__module__": "shop", "__qualname__": qualname, "execute": execute}
    return type(Action)(qualname, (Action,), class_body, **head)


def test_an_action_is_found_under_its_id():
    made = _action("Pay")
    assert registry.get("shop:Pay") is made
    assert "shop:Pay" in registry
    assert "shop:Pray" not in registry


def test_an_unknown_id_says_what_to_do():
    with pytest.raises(UnknownActionError, match=r"'shop:Pay'.*import the module that defines it"):
        registry.get("shop:Pay")


def test_ids_are_listed_in_order():
    own = ActionRegistry("action")
    for name in ("b", "c", "a"):
        own.register(name, _action(name))
    assert own.ids() == ["a", "b", "c"]


def test_the_same_class_again_takes_the_place_of_the_earlier_one():
    _action("Pay", id="pay")
    again = _action("Pay", id="pay")
    assert registry.get("pay") is again


def test_another_class_under_a_taken_id_is_refused_and_both_are_named():
    first = _action("Pay", id="pay")
    with pytest.raises(DuplicateActionError) as caught:
        _action("Refund", id="pay")
    assert "shop:Pay" in str(caught.value)
    assert "shop:Refund" in str(caught.value)
    assert caught.value.action_id == "pay"
    assert registry.get("pay") is first


def test_a_function_cannot_take_the_id_of_a_class():
    _action("Pay", id="pay")
    with pytest.raises(DuplicateActionError):

        @action("pay")
        def refund(ctx) -> None: ...


def test_an_isolated_block_leaves_no_trace():
    _action("Pay")
    with registry.isolated() as inner:
        _action("Refund")
        assert inner is registry
        assert "shop:Pay" in registry
        assert "shop:Refund" in registry
    assert "shop:Pay" in registry
    assert "shop:Refund" not in registry


def test_an_isolated_block_that_fails_leaves_no_trace():
    def fail() -> None:
        with registry.isolated():
            _action("Refund")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert "shop:Refund" not in registry


def test_parameters_from_json_become_what_the_action_declares():
    @action("pay")
    def pay(ctx, amount: Decimal, parts: tuple[int, ...], data: bytes, limit: float) -> None: ...

    built = registry.build(
        "pay", {"amount": "9.99", "parts": [1, 2], "data": "AQI=", "limit": "Infinity"}
    )
    assert built == pay.s(Decimal("9.99"), (1, 2), "AQI=", float("inf"))
    assert vars(built)["data"] == b"\x01\x02"


def test_parameters_that_do_not_fit_are_listed_a_line_each():
    @action("pay")
    def pay(ctx, amount: Decimal, currency: str) -> None: ...

    with pytest.raises(InvalidActionError) as caught:
        registry.build("pay", {"amount": "much", "curency": "EUR"})
    assert str(caught.value).splitlines() == [
        "pay.amount: input should be a valid decimal",
        "pay.currency: field required",
        "pay.curency: unexpected parameter; did you mean 'currency'?",
    ]


def test_an_error_names_the_place_in_the_document():
    @action("pay")
    def pay(ctx, amount: int) -> None: ...

    with pytest.raises(InvalidActionError, match=r"^stages\[1\]\.actions\[0\]\.amount: field req"):
        registry.build("pay", {}, where="stages[1].actions[0]")
    with pytest.raises(UnknownActionError, match=r"^stages\[1\]\.actions\[0\]: no action"):
        registry.build("play", {}, where="stages[1].actions[0]")


@pytest.mark.parametrize("params", [None, [], "x", {"amount": object()}, {1: {2}}, {"\ud800": 1}])
def test_parameters_of_any_form_end_in_an_error_of_ours(params):
    @action("pay")
    def pay(ctx, amount: int) -> None: ...

    with pytest.raises(InvalidActionError):
        registry.build("pay", params)


def test_parameters_that_contain_themselves_end_in_an_error_of_ours():
    @action("pay")
    def pay(ctx, amount) -> None: ...

    loop: dict[str, object] = {}
    loop["amount"] = loop
    with pytest.raises(InvalidActionError):
        registry.build("pay", loop)


def test_threads_that_register_at_once_all_succeed():
    own = ActionRegistry("action")
    classes = [_action(f"A{number}") for number in range(50)]
    threads = [
        threading.Thread(target=own.register, args=(made.__name__, made)) for made in classes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(own.ids()) == 50


def test_a_reloaded_module_registers_its_actions_again(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from gostage_core.authoring.action import Action, action\n"
        "class Pay(Action):\n"
        "    def execute(self, ctx): ...\n"
        "@action\n"
        "def refund(ctx): ...\n"
    )
    program = (
        "import importlib, shop\n"
        "from gostage_core.authoring.registry import registry\n"
        "before = registry.get('shop:Pay')\n"
        "importlib.reload(shop)\n"
        "assert registry.get('shop:Pay') is shop.Pay is not before\n"
        "assert registry.get('shop:refund') is shop.refund.action_class\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:] = {[str(tmp_path), *sys.path]}\n{program}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
