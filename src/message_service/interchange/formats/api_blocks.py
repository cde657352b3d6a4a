"""The content blocks of the OpenAI, Anthropic and LangChain APIs as message parts.

The three use different names for their blocks, and logs mix them, so that one table serves all. A
block without a row here is kept as a part `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from message_service.documents.parts import AttachmentKind, kind_of
from message_service.interchange.reading.drafts import Draft
from message_service.interchange.reading.json_reading import as_list, as_object, as_text

Block = dict[str, Any]

_AUDIO_TYPES = {"mp3": "audio/mpeg"}


def add_content(draft: Draft, content: object) -> None:
    """Add the content of a message: a text, a list of blocks, a single block, or nothing."""
    for item in _items(content):
        _add_item(draft, item)


def add_result(
    draft: Draft, call_id: object, content: object, *, name: object = None, failed: bool = False
) -> None:
    """Add a tool's result: its texts, followed by its files and other blocks.

    Args:
        draft: The message.
        call_id: The id of the call, if the source has it.
        content: A text, a list of blocks, a single block, or nothing.
        name: The tool, if the source repeats it.
        failed: Whether the tool failed.
    """
    texts: list[str] = []
    rest: list[object] = []
    for item in _items(content):
        block = as_object(item) or {}
        text = item if isinstance(item, str) else block.get("text")
        plain = isinstance(item, str) or block.get("type", "text") in _TEXT_TYPES
        if plain and isinstance(text, str):
            texts.append(text)
        elif item is not None:
            rest.append(item)
    draft.answer(call_id, "\n".join(texts), name=name, failed=failed)
    for item in rest:
        block = as_object(item)
        if block is None or not _add_media(draft, block):
            draft.other(_type_of(block) or "tool_result", item)


def add_openai_call(draft: Draft, value: object) -> None:
    """Add an item of `tool_calls` in OpenAI's form; one without a tool is kept as `other`."""
    call = as_object(value) or {}
    custom = as_object(call.get("custom"))
    function = as_object(call.get("function"))
    if custom is not None:
        draft.call(call.get("id"), custom.get("name"), custom.get("input"))
    elif function is not None:
        draft.call(call.get("id"), function.get("name"), function.get("arguments"))
    else:
        draft.other("tool_call", value)


def add_annotations(draft: Draft, annotations: object, start: int, end: int | None = None) -> None:
    """Add the citations of a text.

    Args:
        draft: The message.
        annotations: OpenAI's `annotations` or Anthropic's `citations`.
        start: Where the text begins in the message's text.
        end: Where it ends, if citations refer to the whole text unless they name their place.
    """
    for annotation in as_list(annotations):
        outer = as_object(annotation) or {}
        found = as_object(outer.get("url_citation")) or outer
        title = as_text(found.get("title")) or as_text(found.get("document_title"))
        url = as_text(found.get("url")) or as_text(found.get("source"))
        quote = as_text(found.get("cited_text"))
        if title is None and url is None and quote is None:
            draft.other(_type_of(outer) or "annotation", annotation)
            continue
        places = found.get("start_index"), found.get("end_index")
        first, last = (start + p if isinstance(p, int) else None for p in places)
        if first is None and end is not None:
            first, last = start, end
        draft.cite(title=title, url=url, quote=quote, start=first, end=last)


def _items(content: object) -> list[Any]:
    return cast("list[Any]", content) if isinstance(content, list) else [content]


def _add_item(draft: Draft, item: object) -> None:
    block = as_object(item)
    if isinstance(item, str):
        draft.say(item)
    elif block is not None:
        add_block(draft, block)
    elif item is not None:
        draft.other("content", item)


def add_block(draft: Draft, block: Block) -> None:
    """Add one block."""
    kind = _type_of(block)
    add = _ADDERS.get(kind)
    if add is not None:
        add(draft, block)
    elif kind.endswith("_tool_result") or kind == "server_tool_call_result":
        _add_server_result(draft, block)
    elif not kind and isinstance(block.get("text"), str):
        draft.say(block["text"])
    elif not _add_media(draft, block):
        draft.other(kind or "block", block)


def _type_of(block: Mapping[str, Any] | None) -> str:
    return as_text((block or {}).get("type")) or ""


def _add_text(draft: Draft, block: Block) -> None:
    text = block.get("text")
    if not isinstance(text, str):
        draft.other(_type_of(block), block)
        return
    start = draft.say(text)
    add_annotations(draft, block.get("citations"), start, start + len(text))
    add_annotations(draft, block.get("annotations"), start)


def _add_refusal(draft: Draft, block: Block) -> None:
    draft.refuse(block.get("refusal") or block.get("text"))


def _add_thinking(draft: Draft, block: Block) -> None:
    draft.reason(block.get("thinking"), signature=block.get("signature"))


def _add_redacted(draft: Draft, block: Block) -> None:
    draft.reason(None, encrypted=block.get("data"))


def _add_reasoning(draft: Draft, block: Block) -> None:
    """Add a Responses item, or LangChain's or Bedrock's block; the summary precedes the text."""
    inner = as_object(block.get("reasoning_content")) or block
    texts: list[object] = [block.get("reasoning"), inner.get("text")]
    for name in ("summary", "content"):
        texts += [(as_object(part) or {}).get("text") for part in as_list(block.get(name))]
    draft.reason(
        "\n".join(text for text in texts if isinstance(text, str) and text),
        signature=inner.get("signature"),
        encrypted=block.get("encrypted_content"),
    )


def _add_call(draft: Draft, block: Block) -> None:
    """Add a call in any form; Responses items have the id of the call in `call_id`."""
    own = block.get("call_id") or block.get("id")
    names = ("input", "args", "arguments")
    arguments = next((block[name] for name in names if block.get(name) is not None), None)
    draft.call(own, block.get("name"), arguments)


def _add_tool_result(draft: Draft, block: Block) -> None:
    failed = block.get("is_error") is True
    own = block.get("tool_use_id") or block.get("call_id")
    add_result(draft, own, block.get("content", block.get("output")), failed=failed)


def _add_server_result(draft: Draft, block: Block) -> None:
    """Add the result of a tool that the provider ran; its structure is kept as `other`."""
    inner = as_object(block.get("content")) or {}
    failed = _type_of(inner).endswith("_error") or block.get("status") == "error"
    own = block.get("tool_use_id") or block.get("tool_call_id")
    output = (as_text(inner.get("stdout")), as_text(inner.get("stderr")))
    draft.answer(own, "\n".join(filter(None, output)), failed=failed)
    draft.other(_type_of(block), block)


def _add_media(draft: Draft, block: Block) -> bool:
    """Add an image, a sound, a video or a file; return False when the block is none of these."""
    kind = _type_of(block)
    default = _MEDIA.get(kind)
    if default is None:
        return False
    inner = as_object(block.get(kind)) or block
    source = as_object(inner.get("source")) or as_object(inner.get("image_url")) or inner
    by_name = {
        name: as_text(source.get(name)) or as_text(inner.get(name))
        for name in (*_URLS, *_DATA, *_FILE_IDS, *_NAMES, *_MIME_TYPES, "format")
    }
    # The text of a document is no file: as an attachment, it would be lost.
    written = source.get("type", source.get("source_type")) in ("text", "content")
    url, data, file_id = (_first(by_name, names) for names in (_URLS, _DATA, _FILE_IDS))
    url = url or as_text(block.get(kind))
    if written or not (url or data or file_id):
        draft.other(kind, block)
        return True
    mime_type = _first(by_name, _MIME_TYPES)
    sound = by_name["format"]
    if mime_type is None and sound is not None and default == "audio":
        mime_type = _AUDIO_TYPES.get(sound, f"audio/{sound}")
    draft.attach(
        kind_of(mime_type, AttachmentKind(default)).value,
        name=_first(by_name, _NAMES),
        mime_type=mime_type,
        pointer=url or file_id,
        data=data,
    )
    if as_text(block.get("context")):
        draft.other("document_context", block["context"])
    return True


def _first(found: Mapping[str, str | None], names: tuple[str, ...]) -> str | None:
    return next((found[name] for name in names if found[name]), None)


_TEXT_TYPES = ("text", "input_text", "output_text")
_URLS = ("url", "image_url", "file_url")
_DATA = ("data", "file_data", "base64")
_FILE_IDS = ("file_id", "id")
_NAMES = ("filename", "file_name", "name", "title")
_MIME_TYPES = ("media_type", "mime_type")
_MEDIA = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("audio", "audio_url", "input_audio"), "audio"),
    **dict.fromkeys(("video", "video_url", "input_video"), "video"),
    **dict.fromkeys(("file", "input_file", "media", "container_upload"), "file"),
    "document": "document",
}
_ADDERS: dict[str, Callable[[Draft, Block], None]] = {
    **dict.fromkeys(_TEXT_TYPES, _add_text),
    "refusal": _add_refusal,
    "thinking": _add_thinking,
    "redacted_thinking": _add_redacted,
    **dict.fromkeys(("reasoning", "reasoning_content"), _add_reasoning),
    **dict.fromkeys(("tool_use", "server_tool_use", "mcp_tool_use"), _add_call),
    **dict.fromkeys(("tool_call", "server_tool_call"), _add_call),
    **dict.fromkeys(("function_call", "custom_tool_call"), _add_call),
    **dict.fromkeys(("tool_result", "mcp_tool_result"), _add_tool_result),
    **dict.fromkeys(("function_call_output", "custom_tool_call_output"), _add_tool_result),
}
