"""A provider that does what its model's name says: for tests, and to try an application's errors.

The name is a list of steps, separated by `|`:

    echo                 says the last message of the user again
    say TEXT             says a text, a word at a time
    words N              says `w1 w2 ... wN`
    times N              says N times when this was due, in nanoseconds of the machine's monotonic
                         clock: a follower can tell how long it was on its way
    think TEXT           reasons
    refuse TEXT          refuses
    call NAME JSON       calls a tool with these arguments
    pause SECONDS        waits before the next step
    pace SECONDS         says every further word so long after the one before, whoever listens
    gate NAME            waits until `open_gate(NAME)` is called in this process
    stall                says nothing more, for ever
    cut                  ends the connection
    garbage              sends what cannot be understood
    fail KIND [SECONDS]  fails, one of `failures.FailureKind`; SECONDS is the wait it asks for
    first N STEP         does the step the first N times that this model gets this prompt here
    finish REASON        ends the answer (`stop` is the end of every script)

So `first 1 fail rate_limited 0.1|echo` is rate-limited once and then answers.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence

from message_service.enrichment import text_statistics
from message_service.generation.failures import FailureKind, failed
from message_service.generation.provider import (
    Answering,
    CallDelta,
    Event,
    Finished,
    ModelInfo,
    ModelRequest,
    ProviderKind,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Used,
)

_NAME = "scripted"
_WORDS = ("echo", "say", "words", "times", "think", "refuse", "call")


_GATES: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


def open_gate(name: str) -> None:
    """Let all scripts go on that wait, or will wait, at a gate."""
    _GATES[name].set()


class Scripted:
    """The scripted provider; it counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Event, None]:
        """Do what the model's name says."""
        model = request.model or "echo"
        prompt = "\n".join(f"{turn.role}: {turn.text}" for turn in request.turns)
        place = hashlib.sha256(f"{model}\n{prompt}".encode(errors="replace")).hexdigest()[:16]
        self.asked[place] += 1
        said = ""
        pace = _Pace()
        reason = "stop"
        yield Answering(model, f"scripted_{place}_{self.asked[place]}")
        for step in model.split("|"):
            word, rest = _due(step, self.asked[place])
            match word:
                case "pause":
                    await asyncio.sleep(_number(model, rest))
                case "pace":
                    pace.seconds = _number(model, rest)
                case "gate":
                    await _GATES[rest].wait()
                case "stall":
                    await asyncio.Event().wait()
                case "cut":
                    return
                case "garbage":
                    raise failed(FailureKind.GARBAGE, _NAME, model)
                case "fail":
                    raise _failure(model, rest)
                case "finish":
                    reason = rest
                case "":
                    pass
                case _ if word in _WORDS:
                    pace.begin()
                    for event in _said(word, rest, request, pace):
                        yield event
                        said += getattr(event, "text", "")
                        await pace.pause()
                case _:
                    raise failed(FailureKind.MODEL_UNKNOWN, _NAME, model)
        counts = [text_statistics.measure(text).token_count for text in (prompt, said)]
        yield Used(
            {
                "prompt_tokens": counts[0],
                "completion_tokens": counts[1],
                "total_tokens": sum(counts),
            }
        )
        yield Finished(reason)

    async def models(self) -> Sequence[ModelInfo]:
        """Return a few scripts; every other one works too."""
        return [ModelInfo(name, 8_192) for name in ("echo", "words 20", "fail overloaded 1")]

    async def close(self) -> None:
        """There is nothing to close."""


SCRIPTED = ProviderKind(name=_NAME, make=lambda _: Scripted(), key_needed=False, local=True)


def _due(step: str, asked: int) -> tuple[str, str]:
    """Return a step's word and the rest of it; nothing when the step is not to be done."""
    word, _, rest = step.lstrip().partition(" ")
    if word == "first":
        times, _, inner = rest.partition(" ")
        return _due(inner, asked) if times.isdecimal() and asked <= int(times) else ("", "")
    return word, rest if word in _WORDS else rest.strip()


class _Pace:
    """When pieces are due, however late they are taken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.due = 0.0

    def begin(self) -> None:
        self.due = asyncio.get_running_loop().time()

    async def pause(self) -> None:
        if self.seconds:
            self.due += self.seconds
            await asyncio.sleep(max(0, self.due - asyncio.get_running_loop().time()))


def _said(word: str, rest: str, request: ModelRequest, pace: _Pace) -> Iterator[Event]:
    match word:
        case "echo":
            texts = [turn.text for turn in request.turns if turn.role == "user"]
            yield from map(TextDelta, _pieces(texts[-1] if texts else "hello"))
        case "words":
            count = int(rest) if rest.isdecimal() else 1
            yield from (TextDelta(f"w{n}{' ' if n < count else ''}") for n in range(1, count + 1))
        case "times":
            for _ in range(int(rest) if rest.isdecimal() else 1):
                yield TextDelta(f"{round(pace.due * 1e9)} ")
        case "think":
            yield from map(ReasoningDelta, _pieces(rest))
        case "refuse":
            yield from map(RefusalDelta, _pieces(rest))
        case "call":
            name, _, arguments = rest.partition(" ")
            yield CallDelta(0, f"call_{name}", name)
            yield from (CallDelta(0, arguments=piece) for piece in _pieces(arguments))
        case _:
            yield from map(TextDelta, _pieces(rest))


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [f"{word} " for word in words[:-1]] + words[-1:]


def _number(model: str, given: str) -> float:
    try:
        return max(0.0, float(given))
    except ValueError:
        raise failed(FailureKind.MODEL_UNKNOWN, _NAME, model) from None


def _failure(model: str, rest: str) -> Exception:
    name, _, seconds = rest.partition(" ")
    try:
        kind = FailureKind(name)
    except ValueError:
        return failed(FailureKind.MODEL_UNKNOWN, _NAME, model)
    return failed(kind, _NAME, model, retry_after=_number(model, seconds) if seconds else None)
