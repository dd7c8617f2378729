"""The limits of a service, and the error of a request that is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def limit(default: int, text: str) -> Any:
    """A limit with its description, which is also the help of its option."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Limits:
    """The limits of a service; each is an option of `nmt serve`."""

    characters: int = limit(20_000, "maximum number of characters of the texts of a request")
    batch: int = limit(100, "maximum number of texts of a request")
    alternatives: int = limit(10, "maximum number of alternatives of a translation")
    requests: int = limit(256, "maximum number of requests at the same time; further ones are refused at once")
    seconds: int = limit(60, "maximum seconds for a request, waiting included")
    megabytes: int = limit(10, "maximum megabytes of a file")
    files: int = limit(8, "maximum number of files at the same time")
    file_seconds: int = limit(1800, "maximum seconds for a file")

    @property
    def body(self) -> int:
        """Bytes of a request without a file: an escaped character may need twelve."""
        return max(1 << 20, 12 * self.characters)

    @property
    def upload(self) -> int:
        """Bytes of a request with a file."""
        return (self.megabytes << 20) + (1 << 16)


HELP = {one.name: str(one.metadata["help"]) for one in fields(Limits)}
"""What each limit means."""


class Refused(Exception):
    """A request that is not answered: a status of HTTP, and one sentence for the client."""

    def __init__(self, status: int, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
