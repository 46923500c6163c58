"""Documents of a known structure: which names are refused, and that they are the names of the model."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, Field

from bootpress.core.documents import Document, fold
from bootpress.core.errors import InvalidInput


class Inner(Document):
    key_id: str | None = Field(None, alias="keyId")


class Outer(Document):
    media_type: str | None = Field(None, alias="mediaType")
    lists: list[Inner] | None = None
    inner: Inner | None = None
    notes: dict[str, str] | None = None
    anything: Any = None
    either: str | None = Field(None, validation_alias=AliasChoices("one", "other"))


class Protobuf(Document):
    reads_field_names: ClassVar = True

    type_: str | None = Field(None, alias="_type")
    predicate_type: str | None = Field(None, alias="predicateType")


def read(document: Any, model: type[Document] = Outer) -> Document:
    return model.read(json.dumps(document).encode(), what="it")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"MediaType": "a"}, "the document: the name 'MediaType' is another spelling of 'mediaType'"),
        ({"mediatype": "a", "mediaType": "a"}, "the name 'mediatype' is another spelling of 'mediaType'"),
        ({"li\u017ft\u017f": []}, "is another spelling of 'lists'"),
        ({"inner": {"\u212aeyId": ""}}, "it is malformed: inner: the name '\u212aeyId' is another spelling of 'keyId'"),
        ({"lists": [{}, {"KEYID": ""}]}, "it is malformed: lists.1: the name 'KEYID' is another spelling of 'keyId'"),
        ({"x": 1, "X": 2}, "the names 'x' and 'X' are one to a reader that ignores case"),
        ({"inner": {"\u03c3": 1, "\u03c2": 2}}, "are one to a reader that ignores case"),
        ({"ONE": "a"}, "is another spelling of 'one'"),
        ({"Other": "a"}, "is another spelling of 'other'"),
        ({"X\n" * 500: 1, "x\n" * 500: 2}, "…' are one"),
    ],
)
def test_a_name_that_others_read_as_another_is_refused_where_it_is(document: Any, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(document)
    assert reason in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"mediaType": "a", "lists": [{"keyId": "a"}], "inner": {"keyId": "a"}, "one": "a", "other": "b"},
        {"notes": {"a": "1", "A": "2", "mediaType": "3", "MEDIATYPE": "4"}},
        {"anything": {"a": 1, "A": {"b": 1, "B": 2}}},
        {"media_type": 1, "media-type": 2, "mediaTypes": 3, "": 4, " mediaType": 5},
        {"unknown": {"mediatype": 1, "MEDIATYPE": 2}},
    ],
)
def test_names_that_nobody_takes_for_another_are_read(document: Any) -> None:
    assert isinstance(read(document), Outer)


@pytest.mark.parametrize("name", ["type", "TYPE", "_Type", "predicate_type", "PREDICATE_TYPE", "predicatetype"])
def test_a_name_that_protobuf_reads_is_another_spelling_where_protobuf_reads(name: str) -> None:
    with pytest.raises(InvalidInput, match="is another spelling of"):
        read({name: "a"}, Protobuf)


def test_a_model_whose_own_names_fold_to_one_another_is_a_mistake() -> None:
    class Mistaken(Document):
        small: Any = Field(None, alias="name")
        large: Any = Field(None, alias="NAME")

    with pytest.raises(TypeError, match="fold to one another"):
        read({"x": 1}, Mistaken)


@given(st.sampled_from(["mediaType", "lists", "inner", "notes", "anything", "one"]), st.data())
def test_every_other_spelling_of_a_known_name_is_refused(name: str, data: st.DataObject) -> None:
    others = {"s": "sS\u017f", "k": "kK\u212a"}
    spelled = "".join(
        data.draw(st.sampled_from(others.get(each.lower(), each.lower() + each.upper()))) for each in name
    )
    if spelled == name:
        read({spelled: None})
        return
    with pytest.raises(InvalidInput, match="is another spelling of"):
        read({spelled: None})


# unicode.SimpleFold of Go 1.26 puts these into one orbit each; its ends, and those that str.lower() tells apart.
ORBITS = [
    *("Kk\u212a", "Ss\u017f", "\u00b5\u039c\u03bc", "\u01c4\u01c5\u01c6", "\u0398\u03b8\u03d1\u03f4"),
    *("\u03a3\u03c3\u03c2", "\u1e60\u1e61\u1e9b", "\u03a9\u03c9\u2126", "\u00df\u1e9e", "\u0345\u0399\u03b9\u1fbe"),
    *("\u13a0\uab70", "\U0001e900\U0001e922"),
]


@pytest.mark.parametrize("orbit", ORBITS)
def test_what_go_folds_is_folded(orbit: str) -> None:
    assert len({fold(f"a{each}b") for each in orbit}) == 1
