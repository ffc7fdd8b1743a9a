"""Keys, envelopes, and what is bound to them."""

from __future__ import annotations

import base64
import builtins
import json
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from gostage_core import ConfigurationError, NotStorableError, Settings
from gostage_core.errors import (
    CorruptRunError,
    SealedValueError,
    StoreError,
    TamperedValueError,
)
from gostage_core.sealing.keys import new_id, new_key, parse_ring, read_ring
from gostage_core.sealing.marks import (
    Document,
    Initial,
    Item,
    Labels,
    Undo,
    Value,
    Whole,
    canonical,
)
from gostage_core.sealing.texts import spec_text
from gostage_core.sealing.vault import Vault
from gostage_core.state.answers import Stored
from gostage_core.state.stored import metadata_of, opened, whole
from gostage_core.values.codec import decode, encode
from tests.support.sealed import BOTH, FIRST, SECOND
from tests.support.strategies import values

if TYPE_CHECKING:
    from pathlib import Path

KEYS = "GOSTAGE_ENCRYPTION_KEYS"
NAMES = st.text(min_size=1, max_size=20)


def vault(keys: str | None = FIRST, namespace: str = "shop") -> Vault:
    return Vault.of(Settings(namespace=namespace, encryption_keys=keys))


VAULT = vault()


def sealed(mark: Any, run_id: str = "r1", by: Vault = VAULT) -> Any:
    (one,) = by.sealed(run_id, [mark])
    return one


def value_of(data: bytes, key: str = "a", run_id: str = "r1", by: Vault = VAULT) -> bytes:
    return whole(Stored(data, opener=by.opener(run_id, key)))


class TestKeys:
    def test_the_first_one_is_for_writing_and_all_are_for_reading(self) -> None:
        ring = parse_ring(KEYS, f"{SECOND},\n {FIRST}\n")
        assert (ring.first, ring.ids) == ("second", ("second", "first"))

    def test_base64_may_be_that_of_urls(self) -> None:
        key = base64.urlsafe_b64encode(b"\xff" * 32).decode()
        assert parse_ring(KEYS, f"k:{key}").get("k") == b"\xff" * 32

    def test_a_file_has_them_as_a_container_mounts_it(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(f"{SECOND}\n{FIRST}\n")
        found = read_ring(KEYS, None, file)
        assert found is not None
        assert found.ids == ("second", "first")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (f"short:{base64.b64encode(b'x' * 16).decode()}", "'short' is 16 bytes long, and 32"),
            ("odd:!!!!", "'odd' is not base64"),
            ("no-colon", "key 1 is not id:base64"),
            (f"{FIRST},b a d", "key 2 is not id:base64"),
            (f"{FIRST},{FIRST}", "two keys have the id 'first'"),
            (" , ", "no key in it"),
        ],
    )
    def test_what_is_no_key_is_named_by_its_id_and_never_shown(self, text: str, says: str) -> None:
        with pytest.raises(ConfigurationError, match=r"gostage keys new|two keys") as raised:
            parse_ring(KEYS, text)
        assert says in str(raised.value)
        assert FIRST.partition(":")[2] not in str(raised.value)

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"_FILE='.*nowhere' cannot be read"):
            read_ring(KEYS, None, tmp_path / "nowhere")

    def test_keys_stand_in_one_place(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="both set"):
            read_ring(KEYS, SecretStr(FIRST), tmp_path / "keys")

    def test_no_key_shows_in_settings_nor_in_the_ring(self) -> None:
        settings = Settings(encryption_keys=FIRST, signing_keys=SECOND)
        shown = f"{settings!r} {settings} {settings.model_dump_json()} {parse_ring(KEYS, FIRST)!r}"
        assert FIRST.partition(":")[2] not in shown
        assert SECOND.partition(":")[2] not in shown

    def test_a_wrong_setting_beside_keys_does_not_show_them(self) -> None:
        environ = {"GOSTAGE_ENCRYPTION_KEYS": FIRST, "GOSTAGE_LEASE": "never"}
        with pytest.raises(ConfigurationError) as raised:
            Settings.from_env(environ)
        assert FIRST.partition(":")[2] not in str(raised.value)

    def test_a_new_key_is_one(self) -> None:
        made = new_key(new_id(date(2024, 5, 17)))
        assert made.startswith("2024-05-17-")
        assert parse_ring(KEYS, made).ids[0].startswith("2024-05-17-")

    def test_an_id_that_no_key_can_have_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="an id of a key"):
            new_key("a b")

    def test_without_the_package_the_error_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = builtins.__import__

        def absent(name: str, *args: Any, **options: Any) -> Any:
            if name.startswith("cryptography"):
                raise ImportError(name)
            return real(name, *args, **options)

        monkeypatch.setattr(builtins, "__import__", absent)
        with pytest.raises(ConfigurationError, match=r"pip install 'gostage\[crypto\]'"):
            vault()


class TestValues:
    @given(value=values(), key=NAMES)
    def test_any_value_comes_back_as_it_went(self, value: object, key: str) -> None:
        data = encode(value)
        kept = sealed(Value(data, key))
        assert value_of(kept, key) == data
        assert kept.isascii()

    @given(value=values())
    def test_what_is_sealed_is_no_form_that_the_server_knows(self, value: object) -> None:
        data = encode(value)
        kept = sealed(Value(data, "a"))
        if re.fullmatch(rb"-?\d{1,19}", data):
            assert kept == data
        else:
            assert kept[:1] == (b"[" if data[:1] == b"[" else b"~")
            assert b'"' not in kept

    def test_a_secret_integer_is_sealed_too(self) -> None:
        kept = sealed(Value(b"4711", "pin", is_secret=True))
        assert kept.startswith(b"~")
        assert value_of(kept, "pin") == b"4711"

    def test_no_two_envelopes_are_alike(self) -> None:
        assert sealed(Value(b'"x"', "a")) != sealed(Value(b'"x"', "a"))

    @given(data=st.data(), value=values())
    def test_no_changed_character_is_taken_for_a_value(self, data: Any, value: object) -> None:
        kept = sealed(Value(encode(value), "a"))
        assume(kept[:1] in b"[~")
        at = data.draw(st.integers(0, len(kept) - 1))
        other = data.draw(st.integers(33, 126).filter(lambda byte: byte != kept[at]))
        changed = kept[:at] + bytes([other]) + kept[at + 1 :]
        with pytest.raises(StoreError):
            decode(value_of(changed))

    @given(cut=st.integers(1, 60))
    def test_none_that_was_cut_off_is_either(self, cut: int) -> None:
        kept = sealed(Value(b'"a text of some length"', "a"))
        with pytest.raises(StoreError):
            decode(value_of(kept[:-cut]))

    @pytest.mark.parametrize(
        ("key", "run_id", "namespace"),
        [("b", "r1", "shop"), ("a", "r2", "shop"), ("a", "r1", "other")],
    )
    def test_a_value_opens_nowhere_but_at_its_place(
        self, key: str, run_id: str, namespace: str
    ) -> None:
        kept = sealed(Value(b'"x"', "a"))
        with pytest.raises(TamperedValueError) as raised:
            value_of(kept, key, run_id, vault(namespace=namespace))
        assert key in str(raised.value)
        assert run_id in str(raised.value)

    def test_a_list_is_not_taken_for_something_else(self) -> None:
        kept = sealed(Value(b"[1]", "a"))
        with pytest.raises(TamperedValueError):
            value_of(kept[1:])

    def test_an_appended_item_opens_behind_its_own_place_alone(self) -> None:
        item = sealed(Item(b'stage:1\n"x"', "a"))
        stored = Stored(b"L", None, (item,), VAULT.opener("r1", "a"))
        assert whole(stored) == b'["x"]'
        moved = (item.replace(b"stage:1", b"stage:2"),)
        with pytest.raises(TamperedValueError):
            whole(stored._replace(items=moved))

    def test_an_unknown_key_is_named(self) -> None:
        kept = sealed(Value(b'"x"', "a"))
        with pytest.raises(SealedValueError, match="'first'") as raised:
            value_of(kept, by=vault(SECOND))
        assert raised.value.key_id == "first"

    @pytest.mark.parametrize("mark", [Value(b'"x"', "a"), Value(b"[1]", "a")])
    def test_without_any_key_a_value_says_which_one_it_wants(self, mark: Value) -> None:
        with pytest.raises(SealedValueError, match="'first'"):
            decode(value_of(sealed(mark), by=vault(None)))

    def test_an_appended_list_says_so_too(self) -> None:
        items = (sealed(Item(b'stage:1\n"x"', "a")),)
        with pytest.raises(SealedValueError, match="'first'"):
            whole(Stored(b"L", None, items))

    def test_what_an_earlier_key_wrote_is_read_and_written_anew(self) -> None:
        kept = sealed(Value(b'"x"', "a"))
        rotated = vault(BOTH)
        assert value_of(kept, by=rotated) == b'"x"'
        assert sealed(Value(b'"x"', "a"), by=rotated).startswith(b"~1.second.")

    def test_what_was_written_before_there_were_keys_is_read(self) -> None:
        assert value_of(b'"plain"') == b'"plain"'
        stored = Stored(b"L[1]", None, (b"s:1\n2",), VAULT.opener("r1", "a"))
        assert whole(stored) == b"[1,2]"

    def test_properties_are_sealed_and_tags_are_not(self) -> None:
        meta = b'1|1|0|{"tags":["x"],\n"properties":{"from":"crm"}}'
        kept = sealed(Labels(meta, "a"))
        assert b"crm" not in kept
        stored = Stored(b'"x"', kept, None, VAULT.opener("r1", "a"))
        assert metadata_of(stored).properties == {"from": "crm"}
        assert metadata_of(stored).tags == {"x"}
        assert json.loads((opened(stored).meta or b"").split(b"|", 3)[3]) == json.loads(
            meta.split(b"|", 3)[3]
        )


class TestTexts:
    @given(params=st.dictionaries(NAMES, st.integers() | NAMES, min_size=1))
    def test_the_parameters_of_an_action_come_back(self, params: dict[str, Any]) -> None:
        spec = {"action": "charge", "params": params, "name": "charge"}
        kept = sealed(spec_text(json.dumps(spec)))
        assert json.loads(kept).keys() == {"action", "name", "~"}
        assert json.loads(VAULT.document("r1", kept.encode())) == spec

    @pytest.mark.parametrize("field", ["action", "name", "stage", "order"])
    def test_parameters_belong_to_all_else_that_the_text_says(self, field: str) -> None:
        spec = {"action": "a", "name": "n", "stage": "s", "order": "1", "params": {"to": "ana"}}
        kept = json.loads(sealed(spec_text(json.dumps(spec))))
        kept[field] = "other"
        with pytest.raises(CorruptRunError, match="r1"):
            VAULT.document("r1", json.dumps(kept).encode())

    def test_a_text_without_parameters_stays_as_it_is(self) -> None:
        assert sealed(spec_text('{"action":"a","params":{}}')) == '{"action":"a","params":{}}'

    def test_without_its_key_a_text_tells_what_is_clear(self) -> None:
        kept = sealed(spec_text('{"action":"a","params":{"to":"ana"}}')).encode()
        assert json.loads(vault(SECOND).document("r1", kept))["action"] == "a"
        with pytest.raises(SealedValueError, match="'first'"):
            vault(SECOND).document("r1", kept, must=True)

    def test_a_field_that_the_server_looks_at_stays_first(self) -> None:
        kept = sealed(Document('{"released":"why","worker":"w"}', ("released",), stay=True))
        assert kept.startswith('{"released":"",')
        assert json.loads(VAULT.document("r1", kept.encode()))["released"] == "why"

    @pytest.mark.parametrize("text", [b"", b'{"~":', b'["~"]', b'"~"'])
    def test_what_is_damaged_is_left_to_who_reads_it(self, text: bytes) -> None:
        assert VAULT.document("r1", text, must=True) == text

    @pytest.mark.parametrize("broken", ["", "~", "not an envelope", 7, ["~1.first.AAAA"]])
    def test_no_broken_envelope_is_taken_for_none(self, broken: object) -> None:
        kept = json.dumps({"action": "a", "~": broken})
        with pytest.raises(CorruptRunError, match="r1"):
            VAULT.document("r1", kept.encode(), must=True)

    def test_how_an_action_is_undone_is_the_text_of_an_entry(self) -> None:
        spec = '{"action":"refund","params":{"to":"ana"}}'
        kept = json.loads(sealed(Undo(json.dumps([spec, "[]", "0", ""]))))
        assert json.loads(VAULT.document("r1", kept[0].encode())) == json.loads(spec)

    def test_first_values_of_a_stage_are_values_of_the_store(self) -> None:
        kept = json.loads(sealed(Initial('["a","\\"x\\"","n","3"]')))
        assert value_of(kept[1].encode(), "a") == b'"x"'
        assert kept[3] == "3"
        again = VAULT.whole_field("r1", "i2", json.dumps(kept).encode())
        assert json.loads(again) == ["a", '"x"', "n", "3"]

    @pytest.mark.parametrize("mark", [Undo(""), Initial(""), Document("", ("a",)), Whole(b"", "x")])
    def test_nothing_stays_nothing(self, mark: Any) -> None:
        assert not sealed(mark)

    def test_what_is_bound_does_not_depend_on_the_order_of_fields(self) -> None:
        assert canonical({"b": 1, "a": 2, "~": "x"}) == canonical({"a": 2, "b": 1})

    def test_no_mark_shows_what_it_marks(self) -> None:
        marks = (Value(b'"hush"', "k"), Item(b's\n"hush"', "k"), spec_text('{"a":"hush"}'))
        assert "hush" not in repr(marks)


class TestSecrets:
    @pytest.mark.parametrize(
        "mark",
        [
            Value(encode(SecretStr("hush")), "k"),
            Item(b"s:1\n" + encode(SecretStr("hush")), "k"),
            Whole(encode({"deep": [SecretStr("hush")]}), "signal", "s"),
            spec_text('{"action":"a","params":{"token":{"$":"Secret","v":"hush"}}}'),
        ],
    )
    def test_a_secret_is_written_encrypted_or_not_at_all(self, mark: Any) -> None:
        with pytest.raises(NotStorableError, match="GOSTAGE_ENCRYPTION_KEYS"):
            sealed(mark, by=vault(None))
        assert b"hush" not in str(sealed(mark)).encode()

    def test_text_that_only_looks_like_one_is_text(self) -> None:
        data = encode('{"$":"SecretStr","v":"x"}')
        assert sealed(Value(data, "k"), by=vault(None)) == data
