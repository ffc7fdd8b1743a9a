"""Marks for the texts that runs consist of: which fields of each are sealed."""

from __future__ import annotations

from gostage_core.sealing.marks import SPEC_FIELDS, Document, Initial, Whole, compact


def spec_text(text: str) -> Document:
    """Mark the text of an action, of a stage, or of a hook in a plan."""
    return Document(text, SPEC_FIELDS)


def header_text(text: str) -> Document:
    """Mark the text of a workflow in the header of a run."""
    return Document(text, ("middleware",))


def failure_text(text: str) -> Document:
    """Mark what is kept of a failure, whole or in short."""
    return Document(text, ("message", "traceback", "cause"))


def result_text(data: bytes, entry: str) -> Whole:
    """Mark what an entry of a plan returned."""
    return Whole(data, "result", entry)


def scratch_text(text: str) -> Document:
    """Mark what the hooks before a scope leave to those after it."""
    return Document(text, ("scratch",))


def release_text(reason: str, worker: str, *, is_ours: bool) -> Document:
    """Mark why a worker has given an attempt back; what *is_ours* anybody may read.

    The server looks at how the text begins.
    """
    fields = () if is_ours else ("released",)
    return Document(compact({"released": reason, "worker": worker}), fields, stay=True)


def reason_text(text: str) -> Document:
    """Mark why something was done, in the words of an action."""
    return Document(text, ("reason",))


def reply_text(text: str) -> Document:
    """Mark a result as the list of a producer gets it."""
    return Document(text, ("error", "bail_reason", "store"))


def marked(field: str, text: str) -> str | bytes:
    """Mark what is to be a field of a plan, by its name."""
    match field[0]:
        case "s":
            return spec_text(text)
        case "e":
            return failure_text(text)
        case "h":
            return scratch_text(text)
        case "i":
            return Initial(text)
        case "v":
            return result_text(text.encode(), field[1:])
    return text
